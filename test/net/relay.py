#!/usr/bin/python3
"""The relay between ends that are behind NATs of the kernel's, each in a network namespace of its own: test/net/relay.py CASE, inside tools/enter. What speaks
here are sockets that make WireGuard's messages, as this kernel may have no WireGuard: test/node/relay_test.py has the real ones."""
import base64, contextlib, hashlib, json, os, secrets, select, socket, struct, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import cases
from lab import until
from place import Place

BUILD = os.environ.get("ZOS_BUILD", "build/release")
DIR = "/run/zos/relay"
RELAY, SECOND, STRANGER = "198.51.100.7", "198.51.100.8", "198.51.100.99"
MASQUERADE = {"cone": "masquerade", "symmetric": "masquerade fully-random"}
RULES = """table ip nat {{
    chain post {{
        type nat hook postrouting priority srcnat
        oifname "o{i}" {masquerade}
    }}
    chain in {{
        type filter hook forward priority filter; policy drop
        {loss}
        iifname "i{i}p" accept
        ct state established accept
    }}
}}
"""


def cable(place, hub, name, address, there=None):
    """From PLACE, which has ADDRESS there, to the bridge of HUB, or with THERE to that address at its other end."""
    place.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p", "netns", str(hub.holder.pid))
    hub.ip("link", "set", f"{name}p", "up", *([] if there else ["master", "br"]))
    if there:
        hub.ip("addr", "add", there, "dev", f"{name}p")
    place.ip("addr", "add", address, "dev", name)
    place.ip("link", "set", name, "up")


class World:
    """Two ends, each behind a router of its own; a relay and a stranger are outside."""

    def __init__(self, kind="cone", loss=0):
        self.kind, self.loss = kind, loss

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.hub, self.relay, self.stranger, *routers = [self.stack.enter_context(Place()) for _ in range(5)]
        self.routers, self.insides = routers, [self.stack.enter_context(Place()) for _ in range(2)]
        self.hub.ip("link", "add", "name", "br", "up", "type", "bridge")
        cable(self.relay, self.hub, "r", f"{RELAY}/24")
        self.relay.ip("addr", "add", f"{SECOND}/24", "dev", "r")
        cable(self.stranger, self.hub, "s", f"{STRANGER}/24")
        for i, (router, inside) in enumerate(zip(self.routers, self.insides)):
            cable(router, self.hub, f"o{i}", f"198.51.100.{11 + i}/24")
            cable(inside, router, f"i{i}", f"10.0.{i}.2/24", there=f"10.0.{i}.1/24")
            inside.ip("route", "add", "default", "via", f"10.0.{i}.1")
            router.set("ipv4/ip_forward", 1)
            router.nft(RULES.format(i=i, masquerade=MASQUERADE[self.kind], loss=f"numgen random mod 100 < {self.loss} drop" if self.loss else ""))
        os.makedirs(DIR, exist_ok=True)
        os.unshare(os.CLONE_NEWNS)  # other cases run beside this one
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700,uid=913,gid=913", "none", DIR], check=True)
        self.process = None
        self.start()
        return self

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{DIR}/sock")
        self.process = subprocess.Popen(self.relay.words(f"{BUILD}/relay"), stderr=subprocess.PIPE, text=True)
        until("the relay listens", lambda: self.process.poll() is not None or os.path.exists(f"{DIR}/sock"), 30)
        assert self.process.poll() is None, self.process.stderr.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_):
        if self.process:
            self.kill()
            self.process.stderr.close()
        self.stack.close()

    def call(self, method, **parameters):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{DIR}/sock")
            s.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
            answer = b""
            while not answer.endswith(b"\0"):
                answer += s.recv(65536)
        answer = json.loads(answer[:-1])
        assert "error" not in answer, answer
        return answer["parameters"]

    def counts(self):
        return self.call("zos.Relay.Count")


def node_key(n):
    """A node's key as text: base32 of the role, the key, and their CRC-16, as nkeys have it."""
    raw = bytes([13 << 3]) + bytes([n]) * 32
    crc = 0
    for byte in raw:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return base64.b32encode(raw + struct.pack("<H", crc)).decode().rstrip("=")


def handshake(kind, to):
    """A message of the handshake for who has the public key TO."""
    body = bytes([kind, 0, 0, 0]) + os.urandom((148 if kind == 1 else 92) - 36)
    key = hashlib.blake2s(b"mac1----" + to).digest()
    return body + hashlib.blake2s(body, key=key, digest_size=16).digest() + bytes(16)


def data(text=b""):
    return bytes([4, 0, 0, 0]) + os.urandom(12) + text + bytes(-len(text) % 16) + os.urandom(16)


class End:
    """One of two, NUMBER 0 or 1; asks the relay, which is at ADDRESS for it, for its port."""

    def __init__(self, world, number, address=RELAY):
        self.world, self.number, self.key, self.other = world, number, bytes([number + 1]) * 32, bytes([2 - number]) * 32
        ask = {"public_key": base64.b64encode(self.key).decode(), "peer_key": base64.b64encode(self.other).decode(),
               "peer": node_key(2 - number), "approval": {}}
        self.at = (address, world.call("zos.Relay.Hold", node=node_key(number + 1), ask=ask)["port"])
        self.s = world.insides[number].socket()

    def move(self):
        """Another port of its own, as if it, or its router, had started again."""
        self.s.close()
        self.s = self.world.insides[self.number].socket()

    def say(self, message, to=None):
        self.s.sendto(message, to or self.at)

    def hears(self, seconds=10):
        """The next datagram, which comes from its own port of the relay; None: nothing."""
        if not select.select([self.s], [], [], seconds)[0]:
            return None
        got, source = self.s.recvfrom(65536)
        assert source == self.at, (source, self.at)
        return got


def shake(a, b):
    """The first of A's is for B, who is not heard yet; then both are."""
    a.say(handshake(1, a.other))
    until("it came", lambda: a.world.counts()["dropped"] > 0, 10)
    first = handshake(1, b.other)
    b.say(first)
    assert a.hears() == first
    second = handshake(2, a.other)
    a.say(second)
    assert b.hears() == second


def passes(a, b, text=None):
    for x, y in ((a, b), (b, a)):
        message = data(text or secrets.token_bytes(32))
        x.say(message)
        assert y.hears() == message


def through(kind):
    with World(kind) as world:
        a, b = End(world, 0), End(world, 1)
        assert {a.at[1], b.at[1]} == {28160, 28161}, (a.at, b.at)
        shake(a, b)
        print("# there is no other way: the routers turn strangers away, also at the port that the relay hears")
        for port in (a.s.getsockname()[1], b.s.getsockname()[1]):
            a.say(b"straight", ("198.51.100.12", port))
        before = world.counts()
        passes(a, b)
        passes(a, b, b"x" * 1400)
        after = world.counts()
        assert after["datagrams"] == before["datagrams"] + 4 and after["pairs"] == 1 and after["bytes"] > before["bytes"] + 2800, (before, after)
        print("# 500 at once, in their order")
        sent = [data(n.to_bytes(4, "big") + b"y" * 1300) for n in range(500)]
        for message in sent:
            a.say(message)
        for message in sent:
            assert b.hears() == message


def addresses():
    """What is sent to one of the relay's comes from that one, as routers want it."""
    with World() as world:
        a, b = End(world, 0, SECOND), End(world, 1)
        shake(a, b)
        passes(a, b)


def stranger():
    with World() as world:
        a, b = End(world, 0), End(world, 1)
        shake(a, b)
        s = world.stranger.socket()
        dropped = world.counts()["dropped"]
        everything = [b"", b"\1", data(b"spoof"), handshake(1, os.urandom(32)), handshake(2, os.urandom(32)), handshake(1, a.key)[:-1],
                      bytes([3, 0, 0, 0]) + bytes(60), os.urandom(148), bytes(65000)]
        for at in (a.at, b.at, (RELAY, 28162), (RELAY, 28671)):
            for message in everything:
                s.sendto(message, at)
        until("all of it came", lambda: world.counts()["dropped"] == dropped + 4 * len(everything), 20)
        print("# nothing of it reached anybody, nothing was answered, and nobody was diverted")
        passes(a, b)
        assert not select.select([s, a.s, b.s], [], [], 0.5)[0]
        print("# the process has no network but its ports, and is nobody")
        status = open(f"/proc/{world.process.pid}/status").read()
        uid, caps = (next(line.split() for line in status.splitlines() if line.startswith(key)) for key in ("Uid:", "CapEff:"))
        assert set(uid[1:]) == {"913"} and int(caps[1], 16) == 0, status
        cards = open(f"/proc/{world.process.pid}/net/dev").read()
        assert cards.count(":") == 1 and "lo:" in cards, cards


def moved():
    with World("symmetric") as world:
        a, b = End(world, 0), End(world, 1)
        shake(a, b)
        for end, other in ((a, b), (b, a)):
            end.move()
            end.say(data(b"from elsewhere"))
            first = handshake(1, end.other)
            end.say(first)
            assert other.hears() == first, "data from elsewhere is dropped, a handshake is followed"
            passes(a, b)
        print("# the same where a router gets another address")
        for words in ("del 198.51.100.11/24", "add 198.51.100.15/24"):
            world.routers[0].ip("addr", *words.split(), "dev", "o0")
        a.say(data(b"from elsewhere"))
        again = handshake(1, a.other)
        a.say(again)
        assert b.hears() == again
        passes(a, b)


def killed():
    with World() as world:
        a, b = End(world, 0), End(world, 1)
        shake(a, b)
        before = world.counts()
        world.kill()
        world.start()
        passes(a, b)
        assert world.counts()["datagrams"] == before["datagrams"] + 2, "it knows what it knew"
        print("# a table of another layout is no table: the ends ask anew")
        world.kill()
        with open(f"{DIR}/pairs", "r+b") as f:
            f.write(bytes(8))
        world.start()
        assert world.counts() == {"pairs": 0, "datagrams": 0, "bytes": 0, "dropped": 0}


def loss():
    with World(loss=20) as world:
        a, b = End(world, 0), End(world, 1)
        for x, y in ((a, b), (b, a), (a, b)):  # as WireGuard does: again until it is answered
            got = None
            while not got:
                x.say(handshake(1, x.other))
                y.say(handshake(1, y.other))
                got = y.hears(0.2)
        while a.hears(0.3) or b.hears(0.3):
            pass
        before, heard = world.counts(), set()
        sent = {data(n.to_bytes(4, "big")) for n in range(300)}
        for message in sent:
            a.say(message)
        while got := b.hears(0.5):
            heard.add(got)
        passed = world.counts()["datagrams"] - before["datagrams"]
        print(f"# of 300, {passed} came to the relay and {len(heard)} to the other end")
        assert heard <= sent and len(heard) <= passed < 300 and len(heard) > 120


cases.run({"cone": lambda: through("cone"), "symmetric": lambda: through("symmetric"), "addresses": addresses, "stranger": stranger, "moved": moved, "killed": killed,
           "loss": loss})
