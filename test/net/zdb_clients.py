#!/usr/bin/python3
"""The program `zdb` and what clients read from it: test/net/zdb_clients.py CASE, inside tools/enter."""
import os, random, socket, threading

from zdb import Store, cases, expect, user


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


if __name__ == "__main__":
    cases.run({f.__name__: f for f in (lent,)})
