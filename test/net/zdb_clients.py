#!/usr/bin/python3
"""The program `zdb` and what clients read from it: test/net/zdb_clients.py CASE, inside tools/enter."""
import ctypes, os, random, socket, subprocess, threading, time

import redis

from zdb import BUILD, Store, cases, expect, user


def bulk(value):
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def pipeline(rng, model, count):
    """COUNT commands over the keys of MODEL, and all that comes back."""
    sent, want = b"", b""
    for _ in range(count):
        key, other = (b"k%d" % rng.randrange(12) for _ in range(2))
        what = rng.choices(("GET", "MGET", "SET", "DEL", "EXISTS", "NSJUMP", "RELOAD", "FLUSH"), (60, 8, 20, 3, 3, 2, 2, 1))[0]
        words = {"GET": (key,), "MGET": (key, other), "DEL": (key,), "EXISTS": (key,), "RELOAD": (b"one",)}.get(what, ())
        if what == "SET":
            value = rng.randbytes(rng.choice((3, 4000, 9000, 65536, 70001, 300000)))
            words, model[key] = (key, value), value
            want += bulk(key)
        elif what == "DEL":
            want += b"-Key not found\r\n" if model.pop(key, None) is None else b"+OK\r\n"
        elif what in ("GET", "MGET"):
            want += (b"*2\r\n" if what == "MGET" else b"") + b"".join(bulk(model.get(k)) for k in words)
        else:
            want += b":%d\r\n" % (key in model) if what == "EXISTS" else b"+OK\r\n"
            if what == "FLUSH":
                model.clear()
        sent += b"*%d\r\n" % (len(words) + 1) + b"".join(bulk(word) for word in (what.encode(), *words))
    return sent, want


def lent():
    """Large values go out from where they lie: whatever is asked for in one go and however slowly it is read, each answer is what it was when it was its turn."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 20)))
    print(f"seed {seed}")
    for sync in "none", "always":
        rng, model = random.Random(seed), {}
        with Store("--sync", sync, "--datasize", "1MiB") as store, store.connect() as s:
            expect(user(store), [(("NSNEW", "one"), b"OK"), (("NSSET", "one", "password", "p"), b"OK")])
            s.sendall(b"SELECT one p\r\n")
            assert s.recv(5, socket.MSG_WAITALL) == b"+OK\r\n"
            for _ in range(60):
                sent, want = pipeline(rng, model, rng.choice((1, 3, 40)))
                sender = threading.Thread(target=s.sendall, args=(sent,))
                sender.start()
                at = 0
                while at < len(want):
                    got = s.recv(min(rng.choice((1000, 200000, 1 << 20)), len(want) - at))
                    assert got and got == want[at:at + len(got)], f"SEED={seed}, --sync {sync}: byte {at} of {len(want)}: {got[:80]}, not {want[at:at + 80]}"
                    at += len(got)
                sender.join()


class Reply(ctypes.Structure):
    """redisReply of hiredis 1."""


Reply._fields_ = [("type", ctypes.c_int), ("integer", ctypes.c_longlong), ("real", ctypes.c_double), ("len", ctypes.c_size_t), ("str", ctypes.c_void_p), ("kind", ctypes.c_char * 4),
                  ("elements", ctypes.c_size_t), ("element", ctypes.POINTER(ctypes.POINTER(Reply)))]
STRING, ARRAY, INTEGER, NIL, STATUS, ERROR = range(1, 7)


class Hiredis:
    """A connection of the C library that most clients of redis are made with."""

    def __init__(self, path):
        self.lib = ctypes.CDLL("libhiredis.so.1.1.0")
        for name in ("redisConnectUnix", "redisCommandArgv"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.redisConnectUnix(path.encode()))
        assert self.context

    def words(self, words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        return len(words), (ctypes.c_char_p * len(words))(*words), (ctypes.c_size_t * len(words))(*map(len, words))

    def take(self, reply):
        """As Python has it; an error as its text behind a minus."""
        r = ctypes.cast(reply, ctypes.POINTER(Reply)).contents
        if r.type == ARRAY:
            return [self.take(r.element[i]) for i in range(r.elements)]
        text = ctypes.string_at(r.str, r.len) if r.type in (STRING, STATUS, ERROR) else None
        return r.integer if r.type == INTEGER else f"-{text.decode()}" if r.type == ERROR else text

    def free(self, reply):
        value = self.take(reply)
        self.lib.freeReplyObject(reply)
        return value

    def execute_command(self, *words):
        reply = ctypes.c_void_p(self.lib.redisCommandArgv(self.context, *self.words(words)))
        assert reply, f"hiredis takes no answer to {words[0]}"
        return self.free(reply)

    def append(self, *words):
        assert self.lib.redisAppendCommandArgv(self.context, *self.words(words)) == 0

    def answer(self):
        reply = ctypes.c_void_p()
        assert self.lib.redisGetReply(self.context, ctypes.byref(reply)) == 0 and reply
        return self.free(reply)

    def close(self):
        self.lib.redisFree(self.context)


def hiredis():
    with Store() as store:
        c = Hiredis(store.socket)
        binary, large = bytes(range(256)), os.urandom(8 << 20)
        expect(c, [(("PING",), b"PONG"), (("SET", binary[:255], binary), binary[:255]), (("GET", binary[:255]), binary), (("SET", "k", "1"), b"k"), (("SET", "k", "1"), None),
                   (("SET", "empty", ""), b"empty"), (("GET", "empty"), b""), (("GET", "none"), None), (("EXISTS", "k"), 1), (("DEL", "none"), "-Key not found"),
                   (("MGET", "k", "none", binary[:255]), [b"1", None, binary]), (("SET", "large", large), b"large"), (("GET", "large"), large), (("DBSIZE",), 4),
                   (("GET", "k", "l"), "-Unexpected arguments"), (("NONE",), "-Command not supported"), (("NSLIST",), [b"default"])])
        cursor, keys = c.execute_command("SCAN")
        assert [(key, size) for key, size, _ in keys] == [(binary[:255], 256), (b"k", 1), (b"empty", 0), (b"large", 8 << 20)] and len(cursor) > 0, keys
        for i in range(2000):  # all are written before an answer is read: no more than the store lets wait
            c.append("SET", f"p{i}", b"v" * (i % 100))
            c.append("GET", f"p{i}")
        for i in range(2000):
            assert (c.answer(), c.answer()) == (f"p{i}".encode(), b"v" * (i % 100)), i
        c.close()


def ours(child, port):
    """The server's ends of connections to PORT."""
    pid = os.pidfd_open(child.pid)
    for fd in map(int, os.listdir(f"/proc/{child.pid}/fd")):
        if os.readlink(f"/proc/{child.pid}/fd/{fd}").startswith("socket:"):
            with socket.socket(fileno=ctypes.CDLL(None, use_errno=True).syscall(438, pid, fd, 0)) as s:  # pidfd_getfd
                if s.family == socket.AF_INET and s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0 and s.getsockname()[1] == port:
                    yield s
    os.close(pid)


def listeners():
    """TCP and a Unix socket side by side, and what else the command line says of the default namespace and of when it is made safe."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with Store("--dualnet", "--listen", "127.0.0.1", "--port", str(port), "--maxsize", "1000", "--sync", "interval", "--synctime", "1") as store:
        near, far = user(store), redis.Redis(port=port, single_connection_client=True, socket_timeout=60, retry=None)
        far.response_callbacks.clear()
        expect(far, [(("SET", "k", "v" * 900), b"k"), (("SET", "l", "v" * 101), "-No space left on this namespace")])
        expect(near, [(("GET", "k"), b"v" * 900), (("SET", "l", "v" * 100), b"l")])
        assert [s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for s in ours(store.child, port)] == [1]
        with socket.create_connection(("127.0.0.1", port), 60) as s:
            s.sendall(b"PING\r\nget l\r\nGET none\r\n")
            want, got = b"+PONG\r\n$100\r\n" + b"v" * 100 + b"\r\n$-1\r\n", b""
            while len(got) < len(want):
                got += s.recv(1000)
            assert got == want, got
        deadline = time.monotonic() + 60  # an event of the store's, of which nobody is told
        while b'zdb_fsyncs_total{namespace="default"} 0' in near.execute_command("METRICS"):
            assert time.monotonic() < deadline
        for words in (("--listen", "nowhere"), ("--port", "x"), ("--synctime", "x"), ("--sync", "sometimes")):
            bad = subprocess.run([f"{BUILD}/zdb", "--data", f"{store.dir}/a", "--index", f"{store.dir}/b", *words], capture_output=True, text=True, timeout=60)
            assert bad.returncode == 1 and bad.stderr, (words, bad)


if __name__ == "__main__":
    cases.run({f.__name__: f for f in (lent, hiredis, listeners)})
