#!/usr/bin/python3
"""Two nodes, each behind a router that lets nobody in, and two others that their farm made relays: the private network of the first two goes through one of
these, which sees what it cannot read, and through the other once that is gone."""
import contextlib, json, os, secrets, socket, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import promises, workload
from lab import GUEST_SEES_HOST, Failed, Lab, until
from lan import Lan, Router
from qemu import Report
from registry import Registry
from storage import Storage

NONCE = secrets.token_hex(16)
PORTS = range(28160, 28672)


class Member:
    """A node of the farm, with its second card on LAN."""

    def __init__(self, lab, lan, number, memory):
        self.lab, self.lan, self.number, self.memory = lab, lan, number, memory

    def start(self, stack, before):
        self.node = self.lab.node("debug", memory_mib=self.memory, extra=self.lan.args(self.number))
        self.node.start()
        stack.callback(self.node.close)
        self.lan.connect(self.number)
        self.node.wait_line(r"is up, (\d+) services", 200)
        known = [one.key for one in before]
        self.key = next(n["node"] for n in self.lab.wait_nodes(len(known) + 1) if n["node"] not in known)
        self.lab.zos("farm", "approve", self.key)

    def pid(self):
        return self.node.shell("pidof relay")[0].strip()


class End(Member, Storage):
    def __init__(self, lab, lan, number, image):
        super().__init__(lab, lan, number, 1280)
        self.image, self.ip4 = image, f"10.20.{number}.200"

    def on(self, *words):
        at = words.index("--") if "--" in words else len(words)
        return self.lab.zos(*words[:at], "--node", self.key, *words[at:])

    def put(self, other):
        net = {"name": "net", "type": "network", "data": {"subnet": f"10.20.{self.number}.0/24", "range": "10.20.0.0/16",
               "peers": [{"node": other.key, "subnet": f"10.20.{other.number}.0/24"}]}}
        self.write("blog", [net, self.box("web", "exec nginx -g 'daemon off;'", [], networks=[{"name": "net", "ip": self.ip4}])])
        self.on("deploy", f"{self.lab.dir}/blog.json")

    def path(self):
        return json.loads(self.on("network", "paths", "blog", "--json"))[0]["peers"][0]

    def is_by(self, relays):
        """Which of RELAYS the path goes through; None: through none of them."""
        path = self.path()
        at, _, port = path.get("endpoint", "").rpartition(":")
        if path["state"] != "ok" or path["way"] != "relay" or int(port) not in PORTS:
            return None
        return next((one for one in relays if at == Lan.ip(one.number)), None)

    def fetches(self, other, seconds=5):
        try:
            return NONCE in self.on("exec", "blog/web", "--", "/usr/bin/sh", "-c", f"wget -q -T {seconds} -O - http://{other.ip4}/")
        except Failed:
            return False


def both_by(ends, relays, seconds):
    until("both go through one relay", lambda: ends[0].is_by(relays) and ends[0].is_by(relays) is ends[1].is_by(relays), seconds)
    return ends[0].is_by(relays)


def both_fetch(ends, seconds):
    for x, y in (ends, ends[::-1]):
        until(f"{y.ip4} is reached", lambda: x.fetches(y), seconds)


def address(number):
    return socket.inet_aton(Lan.ip(number))


def legs(outside):
    """Between whom WireGuard's data has gone outside."""
    with outside.lock:
        frames = list(outside.frames)
    return {(f[26:30], f[30:34]) for f in frames if f[12:14] == b"\x08\x00" and f[23] == 17 and f[42:46] == b"\4\0\0\0"}


def main():
    report = Report("make node T=relay")
    with Lab() as lab, Registry() as registry, tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        outside, *insides = [stack.enter_context(Lan(tempfile.mkdtemp(dir=directory))) for _ in range(3)]
        lab.start_hub()
        lab.make_farm_with(registry)
        registry.push(workload.build(NONCE, lab.dir, tools=True), "nginx", "1")
        image = f"{registry.host(GUEST_SEES_HOST)}/nginx:1"
        ends = [End(lab, insides[i], i + 1, image) for i in range(2)]
        relays = [Member(lab, outside, i + 3, 512) for i in range(2)]
        routers = [stack.enter_context(Router(inside, outside, i + 11)) for i, inside in enumerate(insides)]
        for router, end in zip(routers, ends):
            router.knows(end.number)
        members = [*ends, *relays]
        for i, one in enumerate(members):
            one.start(stack, members[:i])
        with report.case("without a relay two ends that cannot reach each other say so"):
            for end, other in (ends, ends[::-1]):
                end.put(other)
            until("they have met, and look for each other", lambda: all(end.path()["state"] in ("trying", "lost", "unheard") for end in ends), 90)
            assert not ends[0].fetches(ends[1], 2)
            assert not outside.wireguard(4)
        with report.case("a node that the farm makes a relay has a process for it, and its ports"):
            assert not relays[0].pid()
            for one in relays:
                said = lab.zos("farm", "relay", one.key, "--address", Lan.ip(one.number))
                assert "28160 to 28671" in said, said
                until("it runs", one.pid, 30)
        promises.check(relays[0].node, report, "On a relay")
        with report.case("the ends meet at one of the two, and their machines reach each other"):
            used = both_by(ends, relays, 180)
            both_fetch(ends, 30)
            print("     " + ends[0].on("network", "paths", "blog").splitlines()[1])
        with report.case("all of it goes by the relay, which sees no plain text"):
            at, outer = address(used.number), [address(router.number) for router in routers]
            seen = legs(outside)
            assert seen == {leg for one in outer for leg in ((one, at), (at, one))}, seen
            assert not any(NONCE.encode() in f for lan in (outside, *insides) for f in lan.frames)
            told = lab.zos_json("node", "info", used.key)["relay"]
            assert told["pairs"] == 1 and told["datagrams"] >= 20 and told["bytes"] > told["datagrams"] * 32, told
            assert "(relay)" in ends[0].on("network", "paths", "blog"), "the table says so, too"
        with report.case("a relay that is killed goes on where it was"):
            before, pid = ends[0].path(), used.pid()
            used.node.shell(f"kill -9 {pid}")
            until("another runs", lambda: used.pid() not in ("", pid), 30)
            both_fetch(ends, 10)
            after = ends[0].path()
            assert after["endpoint"] == before["endpoint"] and after["handshake"] == before["handshake"], (before, after)
        with report.case("an end whose router gets another address is followed"):
            routers[0].move(15)
            both_fetch(ends, 90)
            assert ends[0].is_by([used]) is used and {(address(15), at), (at, address(15))} < legs(outside)
        with report.case("where its node is gone, they meet at the other, and flow again"):
            used.node.close()
            other = both_by(ends, [one for one in relays if one is not used], 300)
            both_fetch(ends, 30)
        with report.case("who is no relay any more has no process and no port"):
            lab.zos("farm", "relay", other.key, "--forget")
            until("it has ended", lambda: not other.pid(), 30)
            until("nothing comes through", lambda: not ends[0].fetches(ends[1], 2), 60)
    sys.exit(report.end())


main()
