#!/usr/bin/python3
"""The program `zdb` with clients that others wrote, and with some that nobody should have: test/net/zdb.py CASE, inside tools/enter."""
import contextlib, hashlib, os, random, re, resource, select, signal, socket, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import cases
import redis

BUILD = os.environ.get("ZOS_BUILD", "build/release")
ADMIN = "the farm's"
MIB = 1 << 20


class Store:
    """A zdb on a Unix socket and its folders, until the block ends."""

    def __init__(self, *options, folder=None):
        self.options, self.given = options, folder

    def __enter__(self):
        self.dir = self.given or tempfile.mkdtemp(prefix="zos-zdb-", dir="/run")
        self.socket = f"{self.dir}/socket"
        self.start()
        return self

    def command(self):
        return [f"{BUILD}/zdb", "--data", f"{self.dir}/data", "--index", f"{self.dir}/index", "--socket", self.socket, *self.options]

    def start(self, *said):
        self.child = subprocess.Popen(self.command(), stderr=subprocess.PIPE, text=True)
        for text in (*said, "ready"):
            line = self.child.stderr.readline()
            assert text in line, line

    def stop(self, sig=signal.SIGTERM):
        """Its exit status, and what it said meanwhile."""
        self.child.send_signal(sig)
        said = self.child.stderr.read()
        return self.child.wait(), said

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.stop(signal.SIGKILL)
        self.child.stderr.close()
        if not self.given:
            subprocess.run(["rm", "-rf", self.dir], check=True)

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.socket)  # waits while others are being let in; with a limit it would not
        s.settimeout(60)
        return s


def answer(c, *words):
    """What comes back; an error as its text behind a minus."""
    try:
        return c.execute_command(*words)
    except redis.ResponseError as e:
        return f"-{e}"


def expect(c, rows):
    for words, want in rows:
        got = answer(c, *words)
        assert got == want, f"{words}: {got}, not {want}"


def user(store, namespace=None, *secret):
    """One connection, for what a connection remembers; answers as they come, not as redis would mean them."""
    c = redis.Redis(unix_socket_path=store.socket, single_connection_client=True, socket_timeout=60, retry=None)
    c.response_callbacks.clear()
    if namespace:
        assert answer(c, "SELECT", namespace, *secret) == b"OK"
    return c


def commands():
    long = "k" * 256
    with Store() as store:
        expect(user(store), [
            (("PING",), b"PONG"), (("ping",), b"PONG"), (("PIN",), "-Command not supported"), (("FLUSHALL",), "-Command not supported"),
            (("GET", "a"), None), (("SET", "a", "1"), b"a"), (("SET", "a", "1"), None), (("SET", "a", "2"), b"a"), (("GET", "a"), b"2"),
            (("SETX", "b", ""), b"b"), (("GET", "b"), b""), (("SET", "", "1"), "-Invalid argument, key needed"), (("SET", "a"), "-Unexpected arguments"),
            (("SET", long, "1"), "-Key too large"), (("SET", long[1:], "1"), long[1:].encode()), (("GET", long), "-Invalid key"),
            (("GET", ""), "-Invalid argument"), (("GET",), "-Unexpected arguments"),
            (("SET", "t", "1", "1234"), b"t"), (("KEYTIME", "t"), 1234), (("SET", "t", "2", "x"), "-Invalid timestamp"),
            (("EXISTS", "a"), 1), (("EXISTS", "z"), 0), (("CHECK", "a"), 1), (("CHECK", "z"), None), (("LENGTH", "a"), 1), (("LENGTH", "z"), None),
            (("MGET", "a", "z", "b"), [b"2", None, b""]), (("DEL", "a"), b"OK"), (("DEL", "a"), "-Key not found"), (("GET", "a"), None),
            (("DBSIZE",), 3), (("KEYCUR", "z"), "-Key not found"), (("*",), "-This is not a valid command"),
            (("FLUSH",), "-Flushing public namespace denied"), (("AUTH", "x"), "-Authentication disabled"), (("KSCAN", "a"), "-Command not supported"),
        ])
        big = os.urandom(8 * MIB)
        c = user(store)
        assert c.execute_command("SET", "big", big) == b"big" and c.get("big") == big
        assert b"\nserver_name: 0-db (zdb)\n" in raw(store, b"INFO\r\n")
        seconds = int(c.execute_command("TIME")[0])
        assert abs(seconds - time.time()) < 60, seconds


def counted():
    with Store("--mode", "seq") as store:
        c = user(store)
        ids = [c.execute_command("SET", "", f"v{i}") for i in range(300)]
        assert ids == [i.to_bytes(8, "little") for i in range(300)], ids[:3]
        expect(c, [(("GET", ids[299]), b"v299"), (("SET", ids[7], "other"), ids[7]), (("GET", ids[7]), b"other"),
                   (("SET", (300).to_bytes(8, "little"), "x"), "-Invalid key, only update authorized"), (("DEL", ids[299]), b"OK")])
        store.stop()
        store.start()
        c = user(store)
        expect(c, [(("GET", ids[7]), b"other"), (("GET", ids[299]), None), (("SET", "", "next"), (300).to_bytes(8, "little"))])


def namespaces():
    with Store("--admin", ADMIN) as store:
        stranger, admin = user(store), user(store)
        expect(stranger, [((*words,), "-Permission denied") for words in (("NSNEW", "x"), ("NSDEL", "x"), ("NSSET", "x", "worm", "1"), ("SET", "t", "1", "9"))])
        expect(stranger, [(("AUTH", "wrong"), "-Access denied"), (("SELECT", "none"), "-Namespace not found"), (("NSINFO", "none"), "-Namespace not found")])
        expect(admin, [
            (("AUTH", ADMIN), b"OK"), (("NSNEW", "one"), b"OK"), (("NSNEW", "one"), "-This namespace is not available"), (("NSNEW", "../x"), "-This name is not allowed"),
            (("NSNEW", ".x"), "-This name is not allowed"), (("NSNEW", "n" * 129), "-Namespace too long"), (("NSNEW", "n" * 128), b"OK"),
            (("NSSET", "one", "color", "1"), "-Invalid property"), (("NSSET", "one", "maxsize", "-1"), "-Invalid value"),
            (("NSSET", "one", "worm", "yes"), "-Invalid value"), (("NSSET", "one", "password", "p" * 64), "-Invalid value"),
            (("NSSET", "default", "maxsize", "1"), "-Cannot update default namespace"), (("NSSET", "none", "maxsize", "1"), "-Namespace not found"),
            (("NSSET", "one", "password", "secret"), b"OK"), (("NSSET", "one", "maxsize", "10"), b"OK"), (("NSDEL", "default"), "-Cannot remove default namespace"),
        ])
        assert sorted(stranger.execute_command("NSLIST")) == sorted([b"default", b"one", b"n" * 128])
        expect(stranger, [(("SELECT", "one"), "-Namespace protected and private"), (("SELECT", "one", "wrong"), "-Access denied"),
                          (("SELECT", "one", "PLAIN", "secret"), "-Only SECURE extra method supported")])
        owner, reader = user(store, "one", "secret"), user(store)
        expect(owner, [(("SET", "k", "12345678"), b"k"), (("SET", "l", "123"), "-No space left on this namespace"), (("SET", "k", "1234567890"), b"k"),
                       (("SET", "k", "12345678901"), "-No space left on this namespace"), (("SET", "k", "1"), b"k"), (("SET", "l", "123456789"), b"l")])
        info = stranger.execute_command("NSINFO", "one").decode()
        assert all(line in info.splitlines() for line in (
            "name: one", "entries: 2", "public: no", "worm: no", "locked: no", "frozen: no", "password: yes", "data_size_bytes: 10", "data_size_mb: 0.00", "data_limits_bytes: 10",
            "space_available: 0", "next_internal_id: 0x0000000000000000", "mode: userkey", "stats_data_io_errors: 0", f"data_path: {store.dir}/data/one", f"index_path: {store.dir}/index/one", f"data_active: {store.dir}/data/one/d0", f"index_active: {store.dir}/index/one/checkpoint",
            "data_current_id: 0")), info
        expect(admin, [(("NSSET", "one", "public", "1"), b"OK")])
        expect(reader, [(("SELECT", "one"), b"OK"), (("GET", "k"), b"1"), (("SET", "k", "2"), "-Namespace is in read-only mode"),
                        (("DEL", "k"), "-Namespace is in read-only mode"), (("FLUSH",), "-Namespace is in read-only mode")])
        expect(owner, [(("FLUSH",), "-Flushing public namespace denied")])
        kept_over_a_start(store, owner, admin)
        store.stop()
        store.start()
        c = user(store, "one", "secret")
        expect(c, [(("GET", "k"), "-Namespace is temporarily frozen (read-write disabled)")])
        expect(admin := user(store), [(("AUTH", ADMIN), b"OK"), (("NSSET", "one", "freeze", "0"), b"OK"), (("NSSET", "one", "lock", "0"), b"OK"),
                                      (("NSSET", "one", "worm", "0"), b"OK"), (("NSSET", "one", "public", "0"), b"OK"),
                                      (("NSSET", "one", "mode", "seq"), "-Cannot change the mode of a namespace that is not empty")])
        expect(c, [(("GET", "k"), b"1"), (("FLUSH",), b"OK"), (("GET", "k"), None), (("DBSIZE",), 0), (("SET", "m", "1"), b"m")])
        expect(admin, [(("NSDEL", "one"), b"OK"), (("NSDEL", "one"), "-This namespace doesn't exists"), (("NSNEW", "one"), b"OK"), (("SELECT", "one"), b"OK"),
                       (("GET", "m"), None)])
        expect(c, [(("GET", "m"), "-Your active namespace is not available anymore (probably removed).")])
        assert b"secret" not in b"".join(open(f"{d}/{f}", "rb").read() for d, _, files in os.walk(store.dir) for f in files if f != "socket")


def kept_over_a_start(store, owner, admin):
    expect(admin, [(("NSSET", "one", "worm", "1"), b"OK")])
    expect(owner, [(("DEL", "k"), "-Cannot delete a key when namespace is in worm mode"), (("SET", "k", "2"), "-Cannot overwrite a key when namespace is in worm mode")])
    expect(admin, [(("NSSET", "one", "public", "0"), b"OK")])
    expect(owner, [(("FLUSH",), "-Cannot flush a namespace in worm mode")])
    expect(admin, [(("NSSET", "one", "public", "1"), b"OK"), (("SELECT", "one"), b"OK"), (("NSDEL", "one"), "-Cannot remove namespace you're currently using."), (("SELECT", "default"), b"OK")])
    expect(admin, [(("NSSET", "one", "lock", "1"), b"OK")])
    expect(owner, [(("GET", "k"), b"1"), (("SET", "k", "2"), "-Namespace is temporarily locked (read-only)")])
    expect(admin, [(("NSSET", "one", "freeze", "1"), b"OK")])
    expect(owner, [(("GET", "k"), "-Namespace is temporarily frozen (read-write disabled)")])


def secure():
    with Store("--admin", ADMIN, "--protect") as store:
        c = user(store)
        expect(c, [(("SET", "k", "1"), "-Namespace is in read-only mode"), (("AUTH", "SECURE", "0" * 40), "-No CHALLENGE requested, secure authentication not available")])
        challenge = answer(c, "AUTH", "SECURE", "CHALLENGE").decode()
        assert len(challenge) == 16, challenge
        right = hashlib.sha1(f"{challenge}:{ADMIN}".encode()).hexdigest()
        expect(c, [(("AUTH", "SECURE", "short"), "-Invalid hash length"), (("AUTH", "SECURE", "0" * 40), "-Access denied"),
                   (("AUTH", "SECURE", right), "-No CHALLENGE requested, secure authentication not available")])
        challenge = answer(c, "AUTH", "SECURE", "CHALLENGE").decode()
        expect(c, [(("AUTH", "SECURE", hashlib.sha1(f"{challenge}:{ADMIN}".encode()).hexdigest()), b"OK"), (("NSNEW", "one"), b"OK"),
                   (("NSSET", "one", "password", "secret"), b"OK"), (("SELECT", "default"), b"OK"), (("SET", "k", "1"), b"k")])
        challenge = answer(c, "AUTH", "SECURE", "CHALLENGE").decode()
        expect(c, [(("SELECT", "one", "SECURE", hashlib.sha1(f"{challenge}:secret".encode()).hexdigest()), b"OK"), (("SET", "k", "1"), b"k")])


def walks():
    with Store("--datasize", "512KiB") as store:
        c = user(store)
        for i in range(3000):
            c.execute_command("SET", f"key-{i}", "v" * (i % 1000))
        for i in range(0, 3000, 3):
            c.execute_command("DEL", f"key-{i}")
        want = [f"key-{i}".encode() for i in range(3000) if i % 3]
        for command, keys in (("SCAN", want), ("SCANX", want), ("RSCAN", want[::-1])):
            seen, cursor = [], []
            while not isinstance(got := answer(c, command, *cursor), str):
                cursor = [got[0]]
                seen += got[1]
            assert got == "-No more data" and [k for k, _, _ in seen] == keys, (command, got, len(seen))
            assert all(size == int(k.split(b"-")[1]) % 1000 and abs(when - time.time()) < 600 for k, size, when in seen)
        expect(c, [(("SCAN", "short"), "-Invalid key format"), (("SCAN", b"\xff" * 12), "-No more data")])
        for value in ("one", "two", "three"):
            c.execute_command("SET", "h", value)
        cursor, values = [], []
        while True:
            older, _, value = c.execute_command("HISTORY", "h", *cursor)
            values.append(value)
            if older is None:
                break
            cursor = [older]
        assert values == [b"three", b"two", b"one"], values
        expect(c, [(("HISTORY", "key-1", *cursor), "-Invalid arguments (invalid key)"), (("HISTORY", "h", b"\0" * 12), "-No more history"), (("HISTORY", "none"), "-Key not found")])


def raw_copy(master, slave):
    """What the original's own tool does: record after record from where the copy ends; at the end of a file the copy begins its next one."""
    position = lambda c: tuple(int(re.search(rb"data_current_%s: (\d+)" % what, c.execute_command("NSINFO", "default"))[1]) for what in (b"id", b"offset"))
    while (at := position(slave)) != position(master):
        got = answer(master, "DATA", "RAW", *at)
        if got == "-EOF":
            assert answer(slave, "NSJUMP") == b"OK"
            continue
        key, _, _, deleted, when, value = got
        words = ("DEL", key, when) if deleted else ("SET", key, value, when)
        assert answer(slave, *words) == (b"OK" if deleted else key), words


def copies():
    with Store("--admin", ADMIN, "--datasize", "512KiB") as store, Store("--datasize", "512KiB") as copy:
        c, admin, other = user(store), user(store), user(copy)
        refused = [(words, "-Permission denied") for words in (("INDEX", "DIRTY"), ("DATA", "RAW", "0", "0"), ("NSJUMP",), ("RELOAD", "default"), ("MIRROR",), ("MASTER",), ("DEL", "k", "9"))]
        expect(c, refused)
        expect(admin, [(("AUTH", ADMIN), b"OK"), (("INDEX", "DIRTY"), []), (("DATA", "RAW", "0", "0"), "-No such data file"),
                       (("SET", "k", "hello", "77"), b"k"), (("DEL", "k", "78"), b"OK"), (("INDEX", "DIRTY"), [0]),
                       (("DATA", "RAW", "0", "0"), [b"k", 0, 0xdf03cd79, 0, 77, b"hello"]), (("DATA", "RAW", "0", "32"), [b"k", 0, 0xdf03cd79, 0, 77, b"hello"]),
                       (("DATA", "RAW", "0", "70"), [b"k", 32, 0, 1, 78, b""]), (("DATA", "RAW", "0", "103"), "-EOF"), (("DATA", "RAW", "0", "71"), "-No record at this offset"),
                       (("DATA", "RAW", "0", "99999"), "-No record at this offset"), (("DATA", "RAW", "1", "0"), "-No such data file"), (("DATA", "RAW", "0", "x"), "-Invalid arguments"),
                       (("DATA", "RAW", "0"), "-Invalid arguments"), (("DATA", "COOKED", "0", "0"), "-Unknown DATA subcommand"), (("DATA",), "-Unexpected arguments"),
                       (("INDEX", "CLEAN"), "-Unknown INDEX subcommand"), (("INDEX", "DIRTY", "WASH"), "-Unknown INDEX DIRTY subcommand"), (("INDEX",), "-Unexpected arguments"),
                       (("index", "dirty", "reset"), b"OK"), (("INDEX", "DIRTY"), []), (("NSJUMP",), b"OK"), (("INDEX", "DIRTY"), [1]), (("DATA", "RAW", "1", "0"), "-EOF")])
        expect(other, [(("NSJUMP",), b"OK"), (("INDEX", "DIRTY"), [0, 1]), (("DEL", "none", "x"), "-Invalid timestamp")])
    with Store("--datasize", "512KiB") as store, Store("--datasize", "512KiB") as copy:
        c, other = user(store), user(copy)
        for i in range(400):
            c.execute_command("SET", f"k{i}", os.urandom(i * 10))
            if i % 7 == 0:
                c.execute_command("DEL", f"k{i // 2}") if c.exists(f"k{i // 2}") else c.execute_command("NSJUMP") if i % 2 else None
        raw_copy(c, other)
        c.execute_command("SET", "late", "one more")
        raw_copy(c, other)
        expect(other, [(("GET", f"k{i}"), answer(c, "GET", f"k{i}")) for i in range(400)] + [(("DBSIZE",), answer(c, "DBSIZE")), (("GET", "late"), b"one more")])
        expect(other, [(("KEYTIME", f"k{i}"), answer(c, "KEYTIME", f"k{i}")) for i in range(400)])


def mirrors():
    """What one store is asked for is told, and a master says it to another, with whose it is."""
    with Store("--id", "7", "--datasize", "512KiB") as store, Store("--id", "8") as copy, store.connect() as stream, copy.connect() as to:
        stream.sendall(b"MIRROR\r\n")
        to.sendall(b"MASTER\r\n")
        assert stream.recv(100) == b"+Starting mirroring\r\n" and to.recv(100) == b"+Hello, master\r\n"
        c = user(store)
        expect(c, [(("SET", "k", b"\r\n\0"), b"k"), (("GET", "k"), b"\r\n\0"), (("DEL", "none"), "-Key not found"), (("NSNEW", "one"), b"OK"),
                   (("NSSET", "one", "maxsize", "100"), b"OK"), (("SELECT", "one"), b"OK"), (("SET", "l", "1"), b"l"), (("DEL", "l"), b"OK"),
                   (("SET", "m", "x" * 200), "-No space left on this namespace"), (("NSJUMP",), b"OK")])
        want = [(b"default", b"SET", b"k", b"\r\n\0"), (b"default", b"NSNEW", b"one"), (b"default", b"NSSET", b"one", b"maxsize", b"100"),
                (b"one", b"SET", b"l", b"1"), (b"one", b"DEL", b"l"), (b"one", b"NSJUMP")]
        reader, told = stream.makefile("rb"), []
        word = lambda line: int(line[1:]) if line[:1] == b":" else reader.read(int(line[1:]) + 2)[:-2]
        for _ in want:
            count = reader.readline()
            assert count[:1] == b"*", count
            told.append([word(reader.readline()) for _ in range(int(count[1:]))])
        assert [(space, *words) for _, space, _, *words in told] == want, told
        assert all(abs(when - time.time()) < 600 and owner == 7 for when, _, owner, *_ in told), told
        for when, space, owner, *words in told:
            follow = words + [str(when).encode()] * (words[0] in (b"SET", b"DEL"))
            for command in ([b"SELECT", space], follow):
                to.sendall(b"*%d\r\n" % (len(command) + 1) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in [*command, b"%d" % owner]))
                got = to.recv(1000)
                assert got[:1] in b"+$", (command, got)
        expect(user(copy), [(("GET", "k"), b"\r\n\0"), (("SELECT", "one"), b"OK"), (("GET", "l"), None)])
        to.sendall(b"SET x 1 8\r\nSET x 1 nobody\r\nPING\r\nSET x 1 9\r\n")
        deadline, got = time.monotonic() + 60, b""
        while got.count(b"\r\n") < 5 and time.monotonic() < deadline:
            got += to.recv(1000)
        assert got == b"-This command came from here\r\n" + b"-A master says whose a command is, as its last word\r\n" * 2 + b"$1\r\nx\r\n", got
    with Store() as store, store.connect() as stream:  # one that reads nothing is closed, and no other client waits for it
        stream.sendall(b"MIRROR\r\n")
        c, value = user(store), os.urandom(4 * MIB)
        for i in range(40):
            assert answer(c, "SET", f"k{i % 2}", value[i:]) == f"k{i % 2}".encode()
        _, said = store.stop()
        assert "a mirror is closed" in said, said


def reloaded():
    """Files that somebody else put there are read; such as cannot be read change nothing."""
    with Store() as store, Store() as other:
        c, d = user(store), user(other)
        expect(c, [(("SET", "k", "old"), b"k"), (("NSNEW", "one"), b"OK"), (("RELOAD", "none"), "-Namespace not found"), (("RELOAD", "default"), b"OK"), (("GET", "k"), b"old")])
        expect(d, [(("SET", "k", "new"), b"k"), (("SET", "l", "more"), b"l")])
        place = f"{store.dir}/data/default/d0"
        with open(f"{other.dir}/data/default/d0", "rb") as theirs, open(place, "rb") as ours:
            theirs, ours = theirs.read(), ours.read()
        for content, want, held in ((b"no data file", "-Could not reload this namespace", [b"old", None]), (theirs, b"OK", [b"new", b"more"])):
            with open(f"{place}.new", "wb") as f:
                f.write(content)
            os.rename(f"{place}.new", place)
            expect(c, [(("RELOAD", "default"), want), (("MGET", "k", "l"), held)])
        expect(c, [(("SET", "after", "1"), b"after")])
        store.stop()
        store.start()
        expect(user(store), [(("MGET", "k", "l", "after"), [b"new", b"more", b"1"])])


class Hook:
    """A program for --hook that says its words into a pipe, and brings back what is missing when it lies beside, as NAME.kept."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="zos-hook-", dir="/run")
        self.program, pipe = f"{self.dir}/hook", f"{self.dir}/pipe"
        os.mkfifo(pipe)
        self.pipe = os.open(pipe, os.O_RDWR)
        with open(self.program, "w") as f:
            f.write(f'#!/bin/sh\nprintf "%s\\n" "$(printf "%s|" "$@")" >{pipe}\n[ "$1" != missing-data ] || mv "$3.kept" "$3"\n')
        os.chmod(self.program, 0o755)
        self.heard = b""
        return self

    def hear(self, *want):
        """Waits until all of WANT were said, in whatever order; nothing else may be."""
        want, seen = sorted(want), []
        while len(seen) < len(want):
            while b"\n" not in self.heard:
                assert select.select([self.pipe], [], [], 60)[0], f"{seen} of {want}"
                self.heard += os.read(self.pipe, 4096)
            line, _, self.heard = self.heard.partition(b"\n")
            seen.append(tuple(line.decode().split("|")[:-1]))
        assert sorted(seen) == want, f"{sorted(seen)}, not {want}"

    def __exit__(self, *_):
        os.close(self.pipe)
        subprocess.run(["rm", "-rf", self.dir], check=True)


def hooks():
    with Hook() as hook, Store("--hook", hook.program) as store:
        name, index, data = f"unix://{store.socket}", f"{store.dir}/index", f"{store.dir}/data"
        hook.hear(("namespaces-init", name, index, data), ("ready", name))
        c = user(store)
        for words, event in ((("NSNEW", "one"), "created"), (("NSSET", "one", "maxsize", "9"), "updated"), (("RELOAD", "one"), "reloaded"), (("NSDEL", "one"), "deleted")):
            assert answer(c, *words) == b"OK"
            hook.hear((f"namespace-{event}", name, "one"))
        expect(c, [(("NSNEW", "default"), "-This namespace is not available"), (("SET", "k", "1"), b"k"), (("NSJUMP",), b"OK")])
        hook.hear(("jump-data", name, f"{data}/default/d0", f"{data}/default/d1"))
        deadline, told = time.monotonic() + 60, []
        while not told or not all(ended for *_, ended, _ in told):  # one that has said its word may not have ended yet
            assert time.monotonic() < deadline, told
            told = answer(c, "HOOKS")
        assert [(kind.decode(), [w.decode() for w in words], status) for kind, words, _, _, _, status in told] == [
            ("namespaces-init", [index, data], 0), ("ready", [], 0), *((f"namespace-{what}", ["one"], 0) for what in ("created", "updated", "reloaded", "deleted")),
            ("jump-data", [f"{data}/default/d0", f"{data}/default/d1"], 0)], told
        assert all(abs(began - time.time()) < 600 and began <= ended and pid > 1 for _, _, pid, began, ended, _ in told), told
        store.stop()
        hook.hear(("close", name), ("namespace-closing", name, "default", f"{index}/default/checkpoint", f"{data}/default/d1", "0 1"))
        store.start()
        hook.hear(("namespaces-init", name, index, data), ("ready", name))
        store.stop(signal.SIGSEGV)
        hook.hear(("crash", name))
        bad = subprocess.run([*store.command(), "--hook", f"{store.dir}/none"], capture_output=True, text=True, timeout=60)
        assert bad.returncode == 1 and "cannot be run" in bad.stderr, bad
    with Store() as store:
        expect(user(store), [(("HOOKS",), [])])


def missing():
    """A data file that was there when it was stopped is asked for; without it nothing starts, unless somebody says that it shall."""
    with Hook() as hook, Store("--datasize", "512KiB") as store:
        c = user(store)
        for i in range(6):
            expect(c, [(("SET", f"k{i}", bytes([i]) * 200000), f"k{i}".encode())])
        store.stop()
        first = f"{store.dir}/data/default/d0"
        os.rename(first, f"{first}.kept")
        run = subprocess.run(store.command(), capture_output=True, text=True, timeout=60)
        assert run.returncode == 1 and f"{first} is missing: put it back" in run.stderr, run
        store.options += ("--hook", hook.program)
        store.start()
        name = f"unix://{store.socket}"
        hook.hear(("namespaces-init", name, f"{store.dir}/index", f"{store.dir}/data"), ("missing-data", name, first), ("ready", name))
        expect(user(store), [(("GET", f"k{i}"), bytes([i]) * 200000) for i in range(6)])
        store.stop()
        os.rename(first, f"{first}.gone")
        run = subprocess.run(store.command(), capture_output=True, text=True, timeout=60)
        assert run.returncode == 1 and "is missing: put it back" in run.stderr, run
        os.unlink(f"{store.dir}/index/default/checkpoint")
        store.start()
        expect(user(store), [(("EXISTS", "k0"), 0), (("EXISTS", "k5"), 1)])
    with Store("--datasize", "512KiB") as store:  # what a compaction or a flush removed is not missed, however it ended
        c = user(store)
        expect(c, [(("NSNEW", "one"), b"OK"), (("NSSET", "one", "password", "p"), b"OK"), (("SELECT", "one", "p"), b"OK"), (("SET", "k", b"x" * 500000), b"k")])
        store.stop()
        store.start()
        c = user(store, "one", "p")
        expect(c, [(("FLUSH",), b"OK")])
        store.stop(signal.SIGKILL)
        store.start()
        c = user(store, "one", "p")
        for i in range(6):
            c.execute_command("SET", "k", bytes([i]) * 500000)
            store.stop()
            store.start()
            c = user(store, "one", "p")
        deadline = time.monotonic() + 60  # an event of the store's, of which nobody is told
        while os.path.exists(f"{store.dir}/data/one/d2"):
            assert time.monotonic() < deadline, os.listdir(f"{store.dir}/data/one")
            c.execute_command("PING")
        store.stop(signal.SIGKILL)
        store.start()
        expect(user(store, "one", "p"), [(("GET", "k"), bytes([5]) * 500000)])


def options():
    with Hook() as hook, Store("--secure", "--rotate", "1", "--hook", hook.program) as store:
        name, data = f"unix://{store.socket}", f"{store.dir}/data/default"
        hook.hear(("namespaces-init", name, f"{store.dir}/index", f"{store.dir}/data"), ("ready", name))
        for i in range(2):
            user(store).execute_command("SET", f"k{i}", "v")
            hook.hear(("jump-data", name, f"{data}/d{i}", f"{data}/d{i + 1}"))
        expect(user(store), [(("NSNEW", "one"), b"OK"), (("SELECT", "one"), b"OK"), (("SET", "l", "1"), b"l")])
        store.stop()
        listed = subprocess.run([*store.command(), "--dump"], capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
        assert {line for line in listed if line.startswith("namespace ")} == {"namespace default", "namespace one"}, listed
        assert sorted(line.split()[-1] for line in listed if not line.startswith("namespace ")) == ["k0", "k1", "l"], listed
        log = f"{store.dir}/log"
        with open(log, "w") as f:
            f.write("before\n")
        command = [word for word in store.command() if word not in ("--hook", hook.program)]
        run = subprocess.run([*command, "--background", "--logfile", log], capture_output=True, text=True, check=True, timeout=60)
        pid = int(run.stdout)
        try:
            expect(user(store), [(("GET", "k0"), b"v"), (("SET", "k9", "1"), b"k9")])
            again = subprocess.run([*command, "--background", "--logfile", log], capture_output=True, text=True, timeout=60)
            assert again.returncode == 1 and "in use" in again.stderr, again
            assert os.getsid(pid) == pid
        finally:
            fd = os.pidfd_open(pid)
            os.kill(pid, signal.SIGTERM)
        assert select.select([fd], [], [], 60)[0], "it does not end"
        os.close(fd)
        with open(log) as f:
            lines = f.read()
        assert lines.startswith("before\n") and "ready, 2 namespaces" in lines, lines
        bare = subprocess.run([*command, "--protect"], capture_output=True, text=True, timeout=60)
        assert bare.returncode == 1 and "wants --admin" in bare.stderr, bare
        store.options = ()
        store.start()
        expect(user(store), [(("GET", "k9"), b"1")])


def metrics():
    with Store("--datasize", "512KiB") as store:
        c = user(store)
        expect(c, [(("NSNEW", "one"), b"OK"), (("NSSET", "one", "maxsize", "1000"), b"OK"), (("METRICS", "x"), "-Unexpected arguments"), (("FLUSHALL",), "-Command not supported")])
        for i in range(30):
            c.execute_command("SET", f"k{i % 10}", bytes([i]) * 1000)
            c.get("k0")
        expect(c, [(("NSJUMP",), b"OK"), (("SELECT", "one"), b"OK"), (("SET", "k", "v"), b"k")])
        deadline, seen = time.monotonic() + 60, {}
        while seen.get('zdb_compactions_total{namespace="default"}') != 1:  # the first file is two thirds dead
            assert time.monotonic() < deadline, seen
            text, seen = c.execute_command("METRICS").decode(), {}
            types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
            for line in text.splitlines():
                if not line.startswith("#"):
                    name, value = re.fullmatch(r'(\w+(?:\{\w+="[^"]+"(?:,\w+="[^"]+")*\})?) ([0-9.e+-]+)', line).groups()
                    assert name not in seen and re.sub(r"_(bucket|sum|count)$", "", re.sub(r"\{.*", "", name)) in types, line
                    seen[name] = float(value)
        want = {"zdb_clients": 1, "zdb_clients_total": 1, 'zdb_commands_total{command="SET"}': 31, 'zdb_commands_total{command="GET"}': 30,
                "zdb_value_written_bytes_total": 30001, "zdb_value_read_bytes_total": 30000, 'zdb_keys{namespace="default"}': 10, 'zdb_keys{namespace="one"}': 1,
                'zdb_data_bytes{namespace="default"}': 10000, 'zdb_limit_bytes{namespace="one"}': 1000, 'zdb_files{namespace="default"}': 2, 'zdb_dead_bytes{namespace="default"}': 0,
                'zdb_failed{namespace="one"}': 0, "zdb_write_errors_total": 0}
        assert {name: seen.get(name) for name in want} == want, {name: (seen.get(name), value) for name, value in want.items() if seen.get(name) != value}
        assert seen["zdb_commands_failed_total"] >= 2, text  # this client asks for things of redis, too
        assert 32 <= seen['zdb_fsyncs_total{namespace="default"}'] <= 40 and seen['zdb_fsync_seconds_total{namespace="default"}'] > 0, text
        together = c.pipeline(transaction=False)
        for i in range(500):
            together.execute_command("SET", f"p{i}", "v")
        assert together.execute() == [f"p{i}".encode() for i in range(500)]
        syncs = int(re.search(r'^zdb_fsyncs_total\{namespace="one"\} (\d+)', c.execute_command("METRICS").decode(), re.M)[1])
        assert syncs - seen['zdb_fsyncs_total{namespace="one"}'] < 100, "what comes at once is made safe at once"
        assert seen['zdb_command_seconds_bucket{le="+Inf"}'] == seen["zdb_command_seconds_count"] > 60 and seen["zdb_command_seconds_sum"] > 0, text


def waits():
    with Store() as store:
        one, other = user(store), user(store)
        expect(one, [(("WAIT", "NONE"), "-Unknown command to watch"), (("WAIT", "SET", "99"), "-Invalid timeout"), (("WAIT", "SET", "1800001"), "-Invalid timeout"),
                     (("WAIT", "SET", "100"), "-Timeout")])
        for watched, woken in (("SET", b"SET"), ("*", b"PING")):
            got, began = [], threading.Event()

            def waiting():
                began.set()
                got.append(answer(one, "WAIT", watched, "60000"))
            t = threading.Thread(target=waiting)
            t.start()
            began.wait()
            while t.is_alive():  # it may not have asked yet
                other.execute_command("PING") if watched == "*" else other.execute_command("SET", "k", os.urandom(8))
                t.join(0.05)
            assert got == [woken], got


def killed():
    """SIGKILL under load, again and again: what was answered is there."""
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    chance, acknowledged = random.Random(seed), {}
    with Store("--datasize", "512KiB") as store:
        for _ in range(int(os.environ.get("ROUNDS", 8))):
            ends = threading.Timer(chance.uniform(0.05, 0.4), lambda: store.child.send_signal(signal.SIGKILL))
            ends.start()
            writers = [threading.Thread(target=write_until_cut, args=(store, n, acknowledged, chance.random())) for n in range(4)]
            for t in writers:
                t.start()
            for t in writers:
                t.join()
            store.child.wait()
            store.child.stderr.close()
            store.start()
            c = user(store)
            for key, values in acknowledged.items():
                got = c.get(key)
                assert got in values, f"seed {seed}: {key} is {got and got[:20]}, not one of {[v and v[:20] for v in values]}"
                acknowledged[key] = [got]


def metric(store, name, space="default"):
    line = next(line for line in user(store).execute_command("METRICS").decode().splitlines() if line.startswith(f'zdb_{name}{{namespace="{space}"}} '))
    return int(float(line.split()[1]))


def fill(store, keys):
    """As many as come until the store ends."""
    return subprocess.Popen(["redis-benchmark", "-s", store.socket, "-n", str(keys), "-r", str(keys * 100), "-c", "20", "-P", "500", "-q", "SET", "key:__rand_int__", "v"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def long():
    """A great many records are read once at most: a checkpoint of them is written while clients are served, and whenever the store is killed, all that was answered is there."""
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    chance, acknowledged = random.Random(seed), {}
    with Store("--sync", "none") as store:
        assert fill(store, 1200000).wait(100) == 0
        n = user(store).execute_command("DBSIZE")
        deadline = time.monotonic() + 60  # an event of the store's, of which nobody is told
        while metric(store, "unsaved_records") > 1 << 20:
            assert time.monotonic() < deadline
        store.stop(signal.SIGKILL)
        store.start()
        assert user(store).execute_command("DBSIZE") == n > 1000000 and metric(store, "replayed_records") < n / 2
        os.unlink(f"{store.dir}/index/default/checkpoint")
        store.stop(signal.SIGKILL)
        for _ in range(int(os.environ.get("ROUNDS", 3))):
            store.start()  # it begins to write one at once, or when a million have come
            many = fill(store, 2000000)
            ends = threading.Timer(chance.uniform(0.1, 4), lambda: store.child.send_signal(signal.SIGKILL))
            ends.start()
            writers = [threading.Thread(target=write_until_cut, args=(store, w, acknowledged, chance.random())) for w in range(2)]
            for t in writers:
                t.start()
            for t in writers:
                t.join()
            store.child.wait()
            many.wait()
            store.child.stderr.close()
            store.start()
            c = user(store)
            for key, values in acknowledged.items():
                got = c.get(key)
                assert got in values, f"seed {seed}: {key} is {got and got[:20]}, not one of {[v and v[:20] for v in values]}"
                acknowledged[key] = [got]
            assert c.execute_command("DBSIZE") >= n, f"seed {seed}"
            n = c.execute_command("DBSIZE") - len(acknowledged)
            store.stop(signal.SIGKILL)
        store.start()


def write_until_cut(store, n, acknowledged, seed):
    chance, c = random.Random(seed), user(store)
    try:
        while True:
            key = f"w{n}-{chance.randrange(50)}"
            value = None if chance.random() < 0.2 and acknowledged.get(key, [None])[-1] else chance.randbytes(chance.randrange(1, 3000))
            before = acknowledged.setdefault(key, [None])
            before.append(value)  # it may be done, or not
            c.execute_command(*(("DEL", key) if value is None else ("SET", key, value)))
            acknowledged[key] = [value]
    except redis.ConnectionError:
        pass


def compacted():
    """What was overwritten gives its room back while clients are served, also when that is cut off again and again."""
    with Store("--datasize", "512KiB", "--sync", "none") as store:
        size = lambda: sum(os.path.getsize(f"{store.dir}/data/default/{name}") for name in os.listdir(f"{store.dir}/data/default"))
        held = {}
        for n in range(12):
            c = user(store)
            for i in range(300):
                key = f"k{i % 40}"
                held[key] = os.urandom(8000)
                c.execute_command("SET", key, held[key])
                if i % 50 == 0:
                    assert c.get(key) == held[key]
            c.execute_command("SET", f"stays-{n}", "for ever")
            if n % 3 == 2:
                deadline = time.monotonic() + 60  # an event of the store's, of which nobody is told
                while size() > 3 * 40 * 8000 + 4 * (512 << 10):
                    assert time.monotonic() < deadline, f"{size()} bytes for {40 * 8000}"
                    c.execute_command("PING")
            store.stop((signal.SIGTERM, signal.SIGKILL, signal.SIGINT)[n % 3])
            store.start()
        c = user(store)
        expect(c, [(("GET", key), value) for key, value in held.items()] + [(("GET", f"stays-{n}"), b"for ever") for n in range(12)])
        assert c.execute_command("DBSIZE") == 52


def crowd():
    count = 10000
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100,) * 2)
    with Store() as store:
        crowd = []
        for _ in range(count):
            crowd.append(store.connect())
        for s in crowd:
            s.sendall(b"PING\r\n")
        for s in crowd:
            assert s.recv(64) == b"+PONG\r\n"
        assert f"clients_lifetime: {count + 1}".encode() in raw(store, b"INFO\r\n")
        for s in crowd:
            s.close()


def raw(store, text):
    """What comes back until the store closes or falls silent."""
    with store.connect() as s:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while part := s.recv(65536):
            got += part
        return got


def rude():
    with Store() as store:
        good = user(store)
        good.execute_command("SET", "k", b"v" * MIB)
        for text in (b"*1\r\n$99999999999\r\n", b"*99999\r\n", b"*-1\r\n", b"*1\r\nPING\r\n", b"*1\r\n$3\r\nPING\r\n", b"x" * 70000):
            with store.connect() as s:
                s.sendall(text)
                got = s.recv(1000)
                assert got.startswith(b"-Protocol error") and s.recv(10) == b"", (text[:20], got)
        slow = store.connect()
        for byte in b"*3\r\n$3\r\nSET\r\n$1\r\nq\r\n$2\r\nok\r\n":
            slow.sendall(bytes([byte]))
        assert slow.recv(100) == b"$1\r\nq\r\n"
        never = store.connect()  # asks for a great deal and reads none of it
        never.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                never.send(b"GET k\r\n" * 1000)
        half = [store.connect() for _ in range(50)]
        for s in half:
            s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$8388608\r\n" + b"x" * 1000)
        rss = int(next(line for line in open(f"/proc/{store.child.pid}/status") if line.startswith("VmRSS")).split()[1])
        assert rss < 400 << 10, f"{rss} kB for one that reads nothing and fifty that send half"
        assert good.get("k") == b"v" * MIB
        assert raw(store, b"GET k\r\n" * 20).count(b"v" * MIB) == 20, "who says no more does not get what was asked for"
        answers = raw(store, b"PING\r\n" * 5000)
        assert answers == b"+PONG\r\n" * 5000, len(answers)
        for s in (slow, never, *half):
            s.close()
        assert good.execute_command("PING") == b"PONG"


def heavy():
    """Bounds of what clients may ask for at once, and of what all of them may have sent by half."""
    with Store() as store:
        good = user(store)
        good.execute_command("SET", "k", b"v" * (7 * MIB))
        assert raw(store, b"MGET k k k k\r\n").count(b"v" * (7 * MIB)) == 4
        got = raw(store, b"MGET k k k k k\r\n")
        assert got.count(b"v" * (7 * MIB)) == 4 and got.endswith(b"-Too much at once: ask for fewer keys\r\n"), got[-100:]
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(store.connect()) for _ in range(512 // 7 + 1)]
            for s in crowd:
                s.settimeout(60)
                with contextlib.suppress(OSError):  # the one that was too many
                    s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$8388608\r\n" + bytes(7 * MIB))
            told = select.select(crowd, [], [], 60)[0]
            assert len(told) == 1 and told[0].recv(100) == b"-Too many clients send too much at once\r\n", len(told)
            assert good.get("k") == b"v" * (7 * MIB)


def alone():
    with Store() as store:
        run = subprocess.run(store.command(), capture_output=True, text=True, timeout=60)
        assert run.returncode == 1 and "is in use by another process" in run.stderr, run
        taken = subprocess.run([f"{BUILD}/zdb", "--data", f"{store.dir}/x", "--index", f"{store.dir}/y", "--socket", store.socket], capture_output=True, text=True, timeout=60)
        assert taken.returncode == 1 and "somebody does already" in taken.stderr, taken
        status, _ = store.stop()
        assert status == 0, status
        store.start()


def few():
    """With descriptors for some clients only, the others wait until one goes."""
    with Store() as store:
        resource.prlimit(store.child.pid, resource.RLIMIT_NOFILE, (40, 40))
        crowd = [store.connect() for _ in range(60)]
        for s in crowd:
            s.sendall(b"PING\r\n")
        served = 0
        while crowd:
            ready = select.select(crowd, [], [], 60)[0]
            assert ready, f"{len(crowd)} wait for ever"
            for s in ready:
                assert s.recv(64) == b"+PONG\r\n"
                served += 1
                crowd.remove(s)
                s.close()
        used = [sum(map(int, open(f"/proc/{store.child.pid}/stat").read().split()[13:15])) for _ in range(2) if not time.sleep(0.2)]
        assert served == 60 and used[1] - used[0] < 10, (served, used)


def tools():
    """redis-cli and redis-benchmark, which nobody told that it is not redis."""
    with Store() as store:
        cli = lambda *words: subprocess.run(["redis-cli", "-s", store.socket, *words], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
        assert cli("SET", "k", "v") == "k" and cli("GET", "k") == "v" and cli("DBSIZE") == "1"
        for pipeline in "1", "16":
            run = subprocess.run(["redis-benchmark", "-s", store.socket, "-t", "set,get", "-n", "5000", "-r", "1000", "-d", "100", "-P", pipeline, "--csv"],
                                 capture_output=True, text=True, check=True, timeout=100)
            rates = [float(line.split(",")[1].strip('"')) for line in run.stdout.splitlines() if line.startswith(('"SET"', '"GET"'))]
            assert len(rates) == 2 and all(r > 0 for r in rates), run.stdout


def offline():
    """check, dump, export, import and compact, on a store that nobody serves."""
    run = lambda store, *words, **more: subprocess.run([f"{BUILD}/zdb", "--data", f"{store.dir}/data", "--index", f"{store.dir}/index", *words], capture_output=True, timeout=60, **more)
    with Store("--datasize", "512KiB") as store, Store() as other:
        c = user(store)
        expect(c, [(("NSNEW", "seq"), b"OK"), (("NSSET", "seq", "mode", "seq"), b"OK"), (("SELECT", "seq"), b"OK")])
        ids = [c.execute_command("SET", "", f"v{i}") for i in range(10)]
        expect(c, [(("SELECT", "default"), b"OK"), (("SET", "when", "x", "1234"), b"when"), (("SET", b"\x00\xff", b"\r\n\x00"), b"\x00\xff")])
        big = os.urandom(3 * MIB)
        c.execute_command("SET", "big", big[:400000])
        for i in range(40):
            c.execute_command("SET", "often", os.urandom(30000))
        busy = run(store, "check")
        assert busy.returncode == 1 and b"is in use by another process" in busy.stderr, busy
        store.stop()
        checked = run(store, "check")
        rows = {line.split()[0]: line.split()[1:] for line in checked.stdout.decode().splitlines()[1:]}
        assert checked.returncode == 0 and rows["default"][0] == "4" and rows["seq"][0] == "10" and rows["default"][3:] == ["0", "0"], checked
        listed = run(store, "dump", "default").stdout.decode()
        assert "1970-01-01T00:20:34Z" in listed and "0x00ff" in listed and len(listed.splitlines()) == 4, listed
        after, before = map(int, re.findall(rb"\d+", run(store, "compact").stdout))
        assert before > 40 * 30000 and after < 2 * (512 << 10), (before, after)
        other.stop()
        for space in "default", "seq":
            out = run(store, "export", space)
            assert out.returncode == 0, out
            if space == "seq":
                other.start()
                expect(user(other), [(("NSNEW", "seq"), b"OK"), (("NSSET", "seq", "mode", "seq"), b"OK")])
                other.stop()
            assert run(other, "import", space, input=out.stdout).returncode == 0
            cut = run(other, "import", space, input=out.stdout[:-1])
            assert cut.returncode == 1 and b"in the middle of a command" in cut.stderr, cut
        refused = run(other, "import", "default", input=b"*1\r\n$4\r\nPING\r\n")
        assert refused.returncode == 1 and b"is no export" in refused.stderr, refused
        assert b"there is no namespace" in run(other, "dump", "none").stderr
        other.start()
        c = user(other)
        expect(c, [(("GET", "when"), b"x"), (("KEYTIME", "when"), 1234), (("GET", b"\x00\xff"), b"\r\n\x00"), (("GET", "big"), big[:400000]), (("DBSIZE",), 4), (("SELECT", "seq"), b"OK"),
                   (("GET", ids[9]), b"v9"), (("SET", "", "more"), (10).to_bytes(8, "little"))])
        with open(f"{store.dir}/data/seq/d0", "r+b") as f:
            f.seek(-1, os.SEEK_END)
            f.write(b"?")
        os.unlink(f"{store.dir}/index/seq/checkpoint")
        hurt = run(store, "check", "seq")
        assert hurt.returncode == 1 and hurt.stdout.decode().splitlines()[1].split()[4] == "1", hurt
        store.start()


if __name__ == "__main__":
    cases.run({f.__name__: f for f in (hooks, missing, options, metrics, long, commands, counted, namespaces, secure, walks, copies, mirrors, reloaded, waits, killed, compacted, crowd, few, rude, heavy, alone, tools, offline)})
