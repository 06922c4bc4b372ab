#!/usr/bin/python3
"""The program `zdb` on a disk that gives errors: test/net/zdb_fault.py CASE, inside tools/enter. What was answered stays, what cannot be kept is refused."""
import contextlib, errno, mmap, os, signal, struct, subprocess, tempfile, time

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


def spaces():
    """What the disk does not keep of namespaces is refused, and they are as they were; one that may be gone at the next start is written to no more."""
    with Store() as store:
        c = user(store)
        expect(c, [(("NSNEW", "one"), b"OK"), (("NSSET", "one", "password", "p"), b"OK"), (("NSNEW", "two"), b"OK")])
        one = user(store, "one", "p")
        expect(one, [(("SET", "a", "1"), b"a")])
        store.fail("fsync", errno.EIO)
        expect(c, [(("NSNEW", "three"), "-Could not create namespace"), (("NSNEW", "three"), "-Could not create namespace"),
                   (("NSSET", "one", "maxsize", "1"), "-Could not keep the setting"), (("NSDEL", "one"), "-Could not delete this namespace")])
        store.fail()
        expect(one, [(("GET", "a"), b"1"), (("SET", "b", "2"), REFUSED)])
        assert sorted(answer(c, "NSLIST")) == [b"default", b"one", b"two"]
        expect(c, [(("NSNEW", "three"), b"OK"), (("NSDEL", "two"), b"OK"), (("SELECT", "one"), "-Namespace protected and private")])
        store.stop()
        store.start()
        assert sorted(answer(user(store), "NSLIST")) == [b"default", b"one", b"three"]
        expect(user(store, "one", "p"), [(("GET", "a"), b"1"), (("SET", "b", "2"), b"b")])


def scanned(c, command):
    """The keys that a walk gives, and how it ends."""
    keys, cursor = [], []
    while not isinstance(got := answer(c, command, *cursor), str):
        cursor = [got[0]]
        keys += [key.decode() for key, _, _ in got[1]]
    return keys, got


@contextlib.contextmanager
def hurt(path, change):
    """What CHANGE makes of the content of PATH, until the block ends."""
    with open(path, "r+b") as f:
        was = f.read()
        now = change(was)
        for content in now, was:
            f.seek(0)
            f.write(content)
            f.truncate()
            f.flush()
            if content is now:
                yield was


def place(c, key):
    return struct.unpack("<II", answer(c, "KEYCUR", key)[:8])


def walk():
    """A walk that comes to something it cannot read says so: it is not at its end."""
    keys = [f"k{i}" for i in range(20)]
    with Store("--datasize", "512KiB") as store:
        c = user(store)
        expect(c, [(("SET", "h", "old"), b"h"), *((("SET", key, key.encode() * 33000), key.encode()) for key in keys), (("SET", "h", "new"), b"h")])
        keys.append("h")
        whole = {"SCAN": (keys, "-No more data"), "RSCAN": (keys[::-1], "-No more data")}
        bad = next(i for i, key in enumerate(keys) if place(c, key)[0] == 1) + 2
        (_, at), older = place(c, keys[bad]), answer(c, "HISTORY", "h")[0]
        assert {w: scanned(c, w) for w in whole} == whole and answer(c, "HISTORY", "h", older)[2] == b"old"
        store.fail("pread", errno.EIO)
        assert {w: scanned(c, w) for w in whole} == {w: ([], "-Internal Error") for w in whole}
        expect(c, [(("SCAN", b"\0\0\0\0\1\0\0\0\0\0\0\0"), "-Invalid key format"), (("SCAN", b"\0\0\0\0\0\0\0\x7f\0\0\0\0"), "-Invalid key format")])
        store.fail()
        first, second = (f"{store.dir}/data/default/d{i}" for i in range(2))
        unreadable = lambda was: was[:at] + b"?" * 32 + was[at + 32:]
        with hurt(second, unreadable):
            assert scanned(c, "SCAN") == (keys[:bad], "-Data is damaged on the disk") and scanned(c, "RSCAN") == (keys[:bad:-1], "-Data is damaged on the disk")
        with hurt(first, lambda was: b""):
            got = answer(c, "MGET", keys[0], keys[bad], "none")
            assert str(got[0]) == "Internal Error" and got[1:] == [keys[bad].encode() * 33000, None], got
            got = answer(c, "HISTORY", "h")
            assert got[0] == older and got[2] == b"new", "what was before is said not to be"
            expect(c, [(("HISTORY", "h", older), "-Internal Error"), (("DATA", "RAW", 0, 0), "-Internal Error")])
        assert {w: scanned(c, w) for w in whole} == whole
        offline(store, keys, bad, second, at, unreadable)


def offline(store, keys, bad, path, at, unreadable):
    run = lambda *words: subprocess.run([f"{zdb.BUILD}/zdb", "--data", f"{store.dir}/data", "--index", f"{store.dir}/index", *words], capture_output=True, timeout=60)
    tools = (("export", "default"), ("dump", "default"), ("dump",), ("check",))
    assert store.stop()[0] == 0
    well = [run(*words) for words in tools]
    assert all(r.returncode == 0 and not r.stderr for r in well) and len(well[1].stdout.splitlines()) == len(keys), well
    with hurt(path, unreadable):  # with a checkpoint nobody has looked at it before
        told = [run(*words) for words in tools]
        assert all(r.returncode == 1 and b"d1:%d" % at in r.stderr for r in told), [r.stderr for r in told]
        assert well[0].stdout.startswith(told[0].stdout) and len(told[1].stdout.splitlines()) == bad
        lost = sum(line.split()[2].startswith(b"d1:") for line in well[1].stdout.splitlines()[bad:])
        assert told[3].stdout.splitlines()[1].split()[4] == b"%d" % lost, told[3]
    os.unlink(f"{store.dir}/index/default/checkpoint")
    with hurt(path, unreadable):
        told = [run(*words) for words in tools]
        assert all(r.returncode == 1 and b"nothing can be read in d1 from %d to " % at in r.stderr for r in told), [r.stderr for r in told]
        store.start("its files are damaged in 1 places")
        c, left = user(store), keys[:bad] + keys[bad + 1:]
        assert scanned(c, "SCAN") == (left, "-No more data") and scanned(c, "RSCAN") == (left[::-1], "-No more data")
        assert store.metric('zdb_hurt_files{namespace="default"}') == 1
        store.stop()
    store.start()
    assert scanned(user(store), "SCAN") == (keys, "-No more data"), "something was deleted because it could not be read"


def unread():
    """A compaction does not take away what could not be read: another time it may be."""
    with Store("--datasize", "512KiB") as store:
        c, path = user(store), f"{store.dir}/data/default/d0"
        expect(c, [(("SET", key, key * 1000), key.encode()) for key in ("stays" * 20, "hurts" * 20)] + [(("SET", "k", bytes([i]) * 140000), b"k") for i in range(2)])
        assert place(c, "k")[0] == 0
        expect(c, [(("SET", "l", b"x" * 140000), b"l"), (("NSJUMP",), b"OK")])
        with hurt(path, lambda was: (at := was.rindex(b"hurts")) and was[:at] + b"X" + was[at + 1:]):
            expect(c, [(("SET", "k", b"new"), b"k")])
            line = store.child.stderr.readline()
            assert "d0 is not compacted" in line and "damaged" in line, line
            assert store.metric('zdb_hurt_files{namespace="default"}') == 1
            expect(c, [(("GET", "hurts" * 20), "-Data is damaged on the disk"), (("GET", "stays" * 20), b"stays" * 20000)])
        expect(c, [(("GET", "hurts" * 20), b"hurts" * 20000), (("SET", "k", b"newer"), b"k")])
        status, said = store.stop()
        assert status == 0 and "not compacted" not in said, said
        store.start()
        deadline = time.monotonic() + 60  # an event of the store's, of which nobody is told
        while store.metric('zdb_compactions_total{namespace="default"}') < 1:
            assert time.monotonic() < deadline
        expect(user(store), [(("GET", key * 20), key.encode() * 20000) for key in ("stays", "hurts")] + [(("GET", "k"), b"newer")])
        assert store.metric('zdb_hurt_files{namespace="default"}') == 0 and os.path.getsize(path) < 300000


@contextlib.contextmanager
def small(kind):
    """A folder with a file system of its own, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="zos-zdb-", dir="/run") as folder:
        at, file = f"{folder}/at", f"{folder}/file"
        os.mkdir(at)
        if kind == "ext4":
            with open(file, "wb") as f:
                f.truncate(40 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", file], check=True)
        options = ("-o", "loop", file) if kind == "ext4" else ("-t", "tmpfs", "-o", "size=24M", "none")
        subprocess.run(["mount", *options, at], check=True)
        try:
            yield at
        finally:
            subprocess.run(["umount", at], check=True)


def full():
    """A disk that is really full: the writer is told, all that was answered is there, also after a kill."""
    for kind in "tmpfs", "ext4":
        with small(kind) as folder, Store("--datasize", "4MiB", folder=folder) as store:
            c, held = user(store), []
            for i in range(2000):
                got = answer(c, "SET", f"k{i}", os.urandom(32768))
                if got != f"k{i}".encode():
                    break
                held.append(i)
            assert got == "-No space left on device" and len(held) > 300, (kind, got, len(held))
            assert all(len(answer(c, "GET", f"k{i}")) == 32768 for i in held) and answer(c, "EXISTS", f"k{len(held)}") == 0
            store.stop(signal.SIGKILL)
            store.start()
            c = user(store)
            assert answer(c, "DBSIZE") == len(held), (kind, answer(c, "DBSIZE"), len(held))
            assert all(len(answer(c, "GET", f"k{i}")) == 32768 for i in held)


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
    cases.run({f.__name__: f for f in (sync, write, read, room, spaces, walk, unread, full, compaction)})
