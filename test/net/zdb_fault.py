#!/usr/bin/python3
"""The program `zdb` on a disk that gives errors: test/net/zdb_fault.py CASE, inside tools/enter. What was answered stays, what cannot be kept is refused."""
import errno, mmap, os, struct, time

import zdb
from zdb import answer, cases, expect, user

CALLS = {"fdatasync": 75, "fsync": 74, "pwritev": 296, "pwrite": 18, "pread": 17, "fallocate": 285}  # x86-64
REFUSED = "-Cannot write data right now"


class Store(zdb.Store):
    def command(self):
        control = f"{self.dir}/fault"
        with open(control, "a") as f:
            f.truncate(8)
        return [f"{zdb.BUILD}/fault", control, *super().command()]

    def fail(self, call="fdatasync", error=0):
        with open(f"{self.dir}/fault", "r+b") as f, mmap.mmap(f.fileno(), 8) as m:
            m[:] = struct.pack("<II", CALLS[call], error)

    def metric(self, name):
        return int(next(line for line in user(self).execute_command("METRICS").decode().splitlines() if line.startswith(name + " ")).split()[1])


def stops(call, healed, value=b"2"):
    """An error of CALL while values are written ends all writing, also when the disk is well again; what was answered before can be read, now and after a start."""
    with Store("--datasize", "512KiB") as store:
        c = user(store)
        expect(c, [(("NSNEW", "one"), b"OK"), (("NSSET", "one", "password", "p"), b"OK"), (("NSNEW", "two"), b"OK"), (("SET", "other", "0"), b"other"), (("SELECT", "one", "p"), b"OK"),
                   (("SET", "a", "1"), b"a"), (("SET", "b", "1"), b"b")])
        store.fail(call, errno.EIO)
        expect(c, [(("GET", "a"), b"1"), (("SET", "b", value), REFUSED)])
        if healed:
            store.fail()
        c = user(store, "one", "p")
        expect(c, [(("SET", "c", "3"), REFUSED), (("GET", "a"), b"1"), (("DEL", "a"), "-Cannot delete key"), (("GET", "a"), b"1"), (("SET", "a", "2"), REFUSED),
                   (("FLUSH",), "-Internal Server Error"), (("NSJUMP",), "-Cannot jump to a next file"), (("RELOAD", "one"), "-Could not reload this namespace"), (("EXISTS", "c"), 0),
                   (("GET", "a"), b"1")])
        assert store.metric('zdb_failed{namespace="one"}') == 1 and store.metric('zdb_failed{namespace="two"}') == 0
        assert store.metric("zdb_write_errors_total") > 0
        if healed:  # one namespace does not suffer from another's file
            expect(user(store, "two"), [(("SET", "d", "4"), b"d"), (("GET", "d"), b"4")])
        store.fail()
        status, said = store.stop()
        assert status == 0 and said.count("nothing is written any more until the store is started again") == 1, said
        assert not os.path.exists(f"{store.dir}/index/one/checkpoint"), "a state that is on no disk was kept"
        store.start()
        c = user(store, "one", "p")
        expect(c, [(("GET", "a"), b"1"), (("GET", "c"), None), (("SET", "c", "5"), b"c"), (("GET", "c"), b"5")])
        assert answer(c, "GET", "b") in (b"1", value)  # it was not answered for
        expect(user(store), [(("GET", "other"), b"0")])


def sync():
    stops("fdatasync", healed=True)
    stops("fdatasync", healed=False)


def write():
    stops("pwritev", healed=True)
    stops("pwritev", healed=False)
    stops("pwritev", healed=False, value=os.urandom(4 << 20))  # goes to the disk at once


def read():
    """What cannot be read is an error, and no more than that; what could have been changed without knowing it is not."""
    with Store() as store:
        c = user(store)
        expect(c, [(("SET", "a", "1"), b"a"), (("SET", "b", "x" * 5000), b"b"), (("SET", "large", "y" * 100000), b"large")])
        store.fail("pread", errno.EIO)
        expect(c, [(("RELOAD", "default"), "-Could not reload this namespace"), (("GET", "a"), b"1"), (("GET", "large"), b"y" * 100000)])
        store.fail()
        path = f"{store.dir}/data/default/d0"  # a page that is not there is told as one that the disk does not give: SIGBUS
        with open(path, "rb") as f:
            content = f.read()
        for value, error in ((content[:-50000], "-Internal Error"), (content[:-1] + b"z", "-Data is damaged on the disk")):
            with open(path, "r+b") as f:
                f.write(value)
                f.truncate()
            expect(c, [(("GET", "large"), error), (("CHECK", "large"), 0), (("GET", "b"), b"x" * 5000)])
            with open(path, "r+b") as f:
                f.write(content)
            expect(c, [(("GET", "large"), b"y" * 100000), (("CHECK", "large"), 1)])
        os.truncate(path, 0)
        expect(c, [(words, "-Internal Error") for words in (("GET", "a"), ("GET", "b"), ("EXISTS", "a"), ("LENGTH", "a"), ("DEL", "a"))])
        expect(c, [(("SET", "a", "2"), REFUSED), (("GET", "none"), None), (("DBSIZE",), 3)])
        with open(path, "r+b") as f:
            f.write(content)
        expect(c, [(("GET", "a"), b"1"), (("GET", "b"), b"x" * 5000), (("SET", "a", "2"), b"a"), (("SET", "new", "3"), b"new"), (("GET", "new"), b"3")])
        assert "stats_data_io_errors: 8" in c.execute_command("NSINFO", "default").decode(), c.execute_command("NSINFO", "default")
        assert store.metric("zdb_read_errors_total") >= 5 and store.metric('zdb_failed{namespace="default"}') == 0
        assert store.stop()[0] == 0


def room():
    """A full disk is said before anything has changed; there is no need to start again when there is room."""
    with Store("--datasize", "512KiB") as store:
        c = user(store)
        expect(c, [(("NSNEW", "one"), b"OK"), (("NSSET", "one", "password", "p"), b"OK"), (("SELECT", "one", "p"), b"OK"), (("SET", "a", "1"), b"a")])
        store.stop()
        store.start()
        c = user(store, "one", "p")
        store.fail("fallocate", errno.ENOSPC)
        expect(c, [(("SET", "b", "2"), "-No space left on device"), (("GET", "a"), b"1"), (("EXISTS", "b"), 0)])
        store.fail("fsync", errno.ENOSPC)  # of a file that is made
        expect(c, [(("SET", "c", "3"), b"c"), (("FLUSH",), "-Internal Server Error"), (("NSJUMP",), "-Cannot jump to a next file"), (("SET", "d", "4"), b"d"), (("GET", "a"), b"1")])
        together = zdb.raw(store, b"SELECT one p\r\nSET p 6\r\nFLUSH\r\nSET q 7\r\nGET p\r\n")  # in one turn: what is not written yet stays, too
        assert together == b"+OK\r\n$1\r\np\r\n-Internal Server Error\r\n$1\r\nq\r\n$1\r\n6\r\n", together
        for _ in range(3):  # the file that is full needs a next one
            answer(c, "SET", "big", os.urandom(200000))
        assert answer(c, "SET", "big", b"") == "-No space left on device" or answer(c, "GET", "big") == b""
        store.fail()
        expect(c, [(("SET", "e", "5"), b"e")])
        store.stop()
        store.start()
        c = user(store, "one", "p")
        expect(c, [(("MGET", "a", "b", "c", "d", "e", "p", "q"), [b"1", None, b"3", b"4", b"5", b"6", b"7"]), (("FLUSH",), b"OK"), (("DBSIZE",), 0)])


def compaction():
    """A compaction that cannot write its copy leaves all as it was, and clients do not notice."""
    with Store("--datasize", "512KiB") as store:
        c = user(store)
        store.fail("pwrite", errno.EIO)
        expect(c, [(("SET", "stays", "for ever"), b"stays")])
        for i in range(12):
            expect(c, [(("SET", "k", bytes([i]) * 100000), b"k")])
        line = store.child.stderr.readline()  # until it was tried
        assert "compact d0" in line and "Input/output error" in line, line
        expect(c, [(("SET", "l", "1"), b"l"), (("GET", "stays"), b"for ever"), (("GET", "k"), bytes([11]) * 100000)])
        assert not [name for name in os.listdir(f"{store.dir}/data/default") if name.endswith(".new")]
        store.fail()
        store.stop()
        store.start()
        deadline = time.monotonic() + 60  # an event of the store's, of which nobody is told
        while store.metric('zdb_compactions_total{namespace="default"}') < 2:
            assert time.monotonic() < deadline
        expect(user(store), [(("GET", "stays"), b"for ever"), (("GET", "k"), bytes([11]) * 100000), (("GET", "l"), b"1")])


if __name__ == "__main__":
    cases.run({f.__name__: f for f in (sync, write, read, room, compaction)})
