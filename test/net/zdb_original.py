#!/usr/bin/python3
"""What 0-db left on a disk, opened, continued and copied: test/net/zdb_original.py CASE, inside tools/enter."""
import os, random, subprocess

import zdb
from original import Namespace
from zdb import Store, answer, cases, expect, user


class Left(Store):
    """A store in whose folders 0-db was before."""

    def __init__(self, *options, write, **more):
        super().__init__(*options, **more)
        self.write = write

    def start(self):
        if not os.path.exists(f"{self.dir}/data"):
            self.write(f"{self.dir}/data", f"{self.dir}/index")
        super().start()

    def files(self):
        """The original's files and what is in them."""
        found = {}
        for root in "data", "index":
            for folder, _, names in os.walk(f"{self.dir}/{root}"):
                for name in names:
                    path = f"{folder}/{name}"
                    with open(path, "rb") as f:
                        content = f.read()
                    if name[0] == "i" or (name[0] == "d" and content[4:8] == b"\3\0\0\0"):
                        found[path[len(self.dir):]] = content
        return found


def history(c, key):
    cursor, seen = [], []
    while True:
        older, when, value = c.execute_command("HISTORY", key, *cursor)
        seen.append((int(when), value))
        if older is None:
            return seen
        cursor = [older]


def opened():
    """All that it held, of every kind of namespace; then it goes on, and the original's files stay as they are."""
    def write(data, index):
        d = Namespace(data, index, "default")
        d.set(b"k", b"hello", 1000)
        d.set(b"lasts", bytes(500), 1000)  # more than a half of its file is needed: what was overwritten stays
        d.set(b"gone", b"soon", 1001)
        d.set(b"k", b"world", 1002)
        d.delete(b"gone", 1003)
        d.jump()
        d.set(b"k", b"", 1004)
        d.set(bytes(range(255)), os.urandom(70000), 1005)
        d.set(b"back", b"1", 1006)
        d.delete(b"back", 1007)
        d.set(b"back", b"2", 1008)
        s = Namespace(data, index, "shut", password=b"secret", public=True, worm=True, maxsize=5 << 32)
        s.set(b"s", b"1", 1)
        n = Namespace(data, index, "numbers", mode="seq")
        keys = [n.count(b"v%d" % i, 2000 + i) for i in range(300)]
        n.jump()
        n.put(keys[7], b"other", 3000)
        n.delete(keys[299], 3001)
        Namespace(data, index, "empty")
    with Left(write=write) as store:
        before, c = store.files(), user(store)
        assert len(before) == 12, sorted(before)
        expect(c, [(("GET", "k"), b""), (("KEYTIME", "k"), 1004), (("GET", "gone"), None), (("CHECK", bytes(range(255))), 1), (("LENGTH", bytes(range(255))), 70000), (("GET", "back"), b"2"), (("DBSIZE",), 4)])
        assert history(c, "k") == [(1004, b""), (1002, b"world"), (1000, b"hello")] and history(c, "back") == [(1008, b"2")]
        info = c.execute_command("NSINFO", "shut").decode()
        assert all(line in info for line in ("public: yes", "worm: yes", "password: yes", f"data_limits_bytes: {5 << 32}", "entries: 1")), info
        reader, owner, numbers = user(store, "shut"), user(store, "shut", "secret"), user(store, "numbers")
        expect(reader, [(("GET", "s"), b"1"), (("SET", "s", "2"), "-Namespace is in read-only mode")])
        expect(owner, [(("SET", "s", "2"), "-Cannot overwrite a key when namespace is in worm mode"), (("SET", "t", "2"), b"t")])
        key = lambda i: i.to_bytes(8, "little")
        expect(numbers, [(("GET", key(0)), b"v0"), (("GET", key(7)), b"other"), (("GET", key(299)), None), (("DBSIZE",), 299), (("SET", "", "next"), key(300)), (("SET", key(8), "new"), key(8))])
        expect(user(store, "empty"), [(("DBSIZE",), 0), (("SET", "e", "1"), b"e")])
        expect(c, [(("SET", "k", "ours"), b"k"), (("DEL", "back"), b"OK")])
        for sig in zdb.signal.SIGTERM, zdb.signal.SIGKILL, zdb.signal.SIGTERM:
            store.stop(sig)
            store.start()
            c, numbers = user(store), user(store, "numbers")
            assert history(c, "k") == [(int(answer(c, "KEYTIME", "k")), b"ours"), (1004, b""), (1002, b"world"), (1000, b"hello")]
            expect(c, [(("GET", "back"), None), (("DBSIZE",), 3)])
            expect(numbers, [(("GET", key(300)), b"next"), (("GET", key(8)), b"new"), (("DBSIZE",), 300)])
            expect(user(store, "empty"), [(("GET", "e"), b"1")])
        assert store.files() == before, "something was written into the original's files"
        c.execute_command("NSSET", "shut", "maxsize", "0")
        store.stop()
        assert not any(b"secret" in open(f"{store.dir}/index/{n}", "rb").read() for n in ("shut/zdb-namespace", "store.key")), "its password lies in clear still"
        store.start()
        expect(user(store, "shut", "secret"), [(("GET", "s"), b"1"), (("GET", "t"), b"2")])


def ways():
    """A default namespace without settings; one that counts; modes that there are no more."""
    def plain(data, index):
        Namespace(data, index, "default", described=False).set(b"k", b"v", 1)

    def counted(data, index):
        n = Namespace(data, index, "default", mode="seq", described=False)
        n.count(b"a", 1)
        n.count(b"b", 2)

    def direct(data, index):
        Namespace(data, index, "one", mode="direct").set(b"k", b"v", 1)
    with Left(write=plain) as store:
        expect(user(store), [(("GET", "k"), b"v"), (("SET", "", "x"), "-Invalid argument, key needed")])
    with Left(write=counted) as store:
        expect(user(store), [(("GET", bytes(8)), b"a"), (("SET", "", "x"), (2).to_bytes(8, "little"))])
    with Store() as store:
        store.stop()
        direct(f"{store.dir}/data", f"{store.dir}/index")
        run = subprocess.run(store.command(), capture_output=True, text=True, timeout=60)
        assert run.returncode == 1 and "mode 2" in run.stderr and "one" in run.stderr, run
        subprocess.run(["rm", "-r", f"{store.dir}/data/one", f"{store.dir}/index/one"], check=True)
        store.start()


def torn():
    """Cut at any byte of its last record, or with a value that rotted: what is whole is there, and it goes on."""
    def write(data, index):
        d = Namespace(data, index, "default")
        d.set(b"a", b"1", 1)
        d.set(b"b", b"value", 2)
    size = 18 + 1 + 5
    for cut in range(1, size + 1):
        def cut_off(data, index):
            write(data, index)
            path = f"{data}/default/d0"
            os.truncate(path, os.path.getsize(path) - cut)
        with Left(write=cut_off) as store:
            expect(user(store), [(("GET", "a"), b"1"), (("GET", "b"), None), (("SET", "c", "3"), b"c")])
            store.stop(zdb.signal.SIGKILL)
            store.start()
            expect(user(store), [(("MGET", "a", "b", "c"), [b"1", None, b"3"])])

    def rotten(data, index):
        write(data, index)
        with open(f"{data}/default/d0", "r+b") as f:
            f.seek(-1, os.SEEK_END)
            f.write(b"?")
    with Left(write=rotten) as store:
        expect(user(store), [(("GET", "a"), b"1"), (("CHECK", "b"), 0), (("GET", "b"), "-Data is damaged on the disk"), (("SET", "b", "new"), b"b"), (("GET", "b"), b"new")])


def copied():
    """A large one of changes by chance, against what a map holds: opened, compacted, and copied by export and import."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 20)))
    chance, held, when = random.Random(seed), {}, 1000

    def write(data, index):
        nonlocal when
        d = Namespace(data, index, "default")
        for i in range(6000):
            key, when = b"key-%d" % chance.randrange(700), when + 1
            if chance.random() < 0.2 and key in held:
                d.delete(key, when)
                del held[key]
            else:
                held[key] = (chance.randbytes(chance.randrange(300)), when)
                d.set(key, *held[key])
            if i % 1000 == 999:
                d.jump()
    check = lambda c: expect(c, [(("GET", key), value) for key, (value, _) in held.items()] + [(("KEYTIME", key), at) for key, (_, at) in held.items()] + [(("DBSIZE",), len(held))])
    run = lambda store, *words, **more: subprocess.run([f"{zdb.BUILD}/zdb", "--data", f"{store.dir}/data", "--index", f"{store.dir}/index", *words], capture_output=True, timeout=60, **more)
    print(f"# SEED={seed}")
    with Left(write=write) as store, Store() as other:
        check(user(store))
        store.stop()
        assert run(store, "compact").returncode == 0 and len(store.files()) == 14, "0-db could not go back to its files"
        store.start()
        held[b"ours"] = (b"1", 5000)
        expect(user(store), [(("SET", "ours", "1", "5000"), b"ours")])
        store.stop()
        other.stop()
        sound = run(store, "check")
        assert sound.returncode == 0, sound
        out = run(store, "export", "default")
        assert out.returncode == 0 and run(other, "import", "default", input=out.stdout).returncode == 0, out.stderr
        assert run(store, "compact").returncode == 0
        assert "/data/default/d0" not in store.files(), "what is dead is still in the original's files"
        for one in store, other:
            one.start()
            check(user(one))


if __name__ == "__main__":
    cases.run({f.__name__: f for f in (opened, ways, torn, copied)})
