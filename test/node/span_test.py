#!/usr/bin/python3
"""A private network on two nodes: machines reach each other through the tunnel in both families, nobody between them reads along, what is not declared
does not pass, and what flows goes on while peers come and the engine or a node starts again."""
import base64, contextlib, json, os, secrets, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import workload
from lab import GUEST_SEES_HOST, ZOS, Failed, Lab, refused, until
from lan import Computer, Lan
from qemu import Report
from registry import Registry
from storage import Storage

NONCE, THERE = secrets.token_hex(16), secrets.token_hex(16)
ADDRESS, DOMAIN = "192.0.2.180", "apps.example.org"  # at which the first node publishes
# Each serves the page. One counts for whoever connects, the other listens to that, and notes when it has to connect again.
COUNTS = "nginx; trap exit TERM; while :; do nc -l -p 7000 -e sh -c 'while echo $((i=i+1)); do sleep 0.2; done' & wait $!; done"
HEARS = "nginx; trap exit TERM; while :; do nc -w 60 10.20.2.200 7000 >> /tmp/flow 2>/dev/null & wait $!; echo again >> /tmp/flow; sleep 1; done"


class End(Storage):
    """One node, with its part of the network."""

    def __init__(self, lab, lan, image, number, script, drives=()):
        self.lab, self.lan, self.image, self.number, self.script, self.drives, self.key = lab, lan, image, number, script, drives, None
        self.subnet, self.ip4 = f"10.20.{number}.0/24", f"10.20.{number}.200"

    def start(self):
        self.node = self.lab.node("debug", memory_mib=1280, extra=self.lan.args(self.number), drives=self.drives)
        try:
            self.node.start()
            self.lan.connect(self.number)
            self.node.wait_line(r"is up, (\d+) services", 200)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        self.node.close()

    def on(self, *words, **more):
        at = words.index("--") if "--" in words else len(words)
        return self.lab.zos(*words[:at], "--node", self.key, *words[at:], **more)

    def network(self, *peers, **more):
        return {"name": "net", "type": "network", "data": {"subnet": self.subnet, "range": "10.20.0.0/16", "peers": list(peers), **more}}

    def as_peer(self, **more):
        return {"node": self.key, "subnet": self.subnet, **more}

    def put(self, *peers, more=()):
        self.write("blog", [self.network(*peers), self.box("web", self.script, [], networks=[{"name": "net", "ip": self.ip4}]), *more])
        self.on("deploy", f"{self.lab.dir}/blog.json")

    def path_end(self):
        return json.loads(self.on("network", "paths", "blog", "--json"))[0]

    def path(self, at=0):
        return self.path_end()["peers"][at]

    def is_met(self):
        try:
            return self.path()["state"] == "ok" and self.path()["way"] == "direct"
        except Failed:  # the engine is being started again
            return False

    def ip6(self):
        got = json.loads(self.on("get", "blog", "--json"))
        return next(w for w in got["workloads"] if w["name"] == "web")["ip"][2]

    def run(self, script):
        return self.on("exec", "blog/web", "--", "/usr/bin/sh", "-c", script)

    def fetches(self, host, seconds=3):
        try:
            return NONCE in self.run(f"wget -q -T {seconds} -O - http://{host}/")
        except Failed:
            return False


def refusals(a, b, report):
    with report.case("a node is no peer of itself, and nobody has another's range; a network without peers opens nothing"):
        a.put()
        assert a.node.shell("test -d /sys/module/wireguard")[1] == 1
        a.write("blog", [a.network(a.as_peer(subnet="10.20.9.0/24"))])
        with refused("/workloads/0/data/peers/0/node: is the node"):
            a.on("deploy", f"{a.lab.dir}/blog.json")
        a.write("blog", [a.network(b.as_peer(subnet="10.20.1.128/25"))])
        with refused("/workloads/0/data/peers/0/subnet: 10.20.1.128/25 overlaps"):
            a.on("deploy", f"{a.lab.dir}/blog.json")
        a.write("blog", [a.network({"key": base64.b64encode(b"1" * 32).decode(), "subnet": "10.20.9.0/24", "endpoint": "10.0.2.3:53"})])
        with refused("/workloads/0/data/peers/0/endpoint: 10.0.2.3:53 is a private address"):
            a.on("deploy", f"{a.lab.dir}/blog.json")


def meet(a, b, lan, report):
    with report.case("a node whose network names another that does not name it waits, and says so"):
        a.put(b.as_peer())
        assert a.path()["state"] == "unmet" and not a.path()["preshared"], a.path()
        assert a.node.shell("test -d /sys/module/wireguard")[1] == 0
        assert not lan.wireguard(1)
    with report.case("once it does they meet, each with a pre-shared key in WireGuard, and find a way"):
        b.put(a.as_peer())
        for end, other in ((a, b), (b, a)):
            until("the way works", lambda: end.path()["state"] == "ok", 90)
            path = end.path()
            assert path["preshared"] and path["node"] == other.key and path["handshake"] and path["endpoint"].startswith(Lan.ip(other.number) + ":"), path
        print("     " + a.on("network", "paths", "blog").splitlines()[1])


def reach(a, b, lan, report):
    with report.case("machines reach each other in both families; what passes between the nodes is no plain text"):
        until("they serve", lambda: a.fetches(a.ip4) and b.fetches(b.ip4), 60)
        before = lan.wireguard(4)
        for end, other in ((a, b), (b, a)):
            assert end.fetches(other.ip4), other.ip4
            assert end.fetches(f"[{other.ip6()}]"), other.ip6()
        assert lan.wireguard(4) - before >= 24, "four pages are some packets"
        assert not any(NONCE.encode() in f for f in lan.frames)
    with report.case("a page that fills packets arrives whole"):
        a.run("head -c 1048576 /dev/urandom > /var/www/html/big")
        there = a.run("sha256sum < /var/www/html/big")
        assert b.run(f"wget -q -T 60 -O - http://{a.ip4}/big | sha256sum") == there
    with report.case("neither reaches the other's gateway, nor what nobody declared"):
        names = lambda server: a.ip4 in a.run(f"nslookup web.net.internal {server} 2>/dev/null; :")
        assert names("10.20.1.1") and not names("10.20.2.1")
        assert a.fetches(b.ip4) and not a.fetches("10.20.3.1")


def joined(a, b, computer, report):
    with report.case("a device that joined at one node reaches machines on both, and on both it is reached"):
        conf = f"{a.lab.dir}/phone.conf"
        a.on("network", "join", "blog", "phone", "--out", conf)
        computer.run("wg-quick", "up", conf)
        try:
            device6 = a.path(1)["subnet6"].removesuffix("/128")
            for host in (a.ip4, f"[{a.ip6()}]", b.ip4, f"[{b.ip6()}]"):
                until(f"{host} is reached", lambda: NONCE in computer.run("curl", "-sg", "-m", "5", f"http://{host}/", check=False).stdout, 30)
            for end in (a, b):
                for host in ("10.20.1.254", device6):  # nobody listens there: who is reached refuses
                    until(f"{host} is reached", lambda: "refused" in end.run(f"nc -w 5 {host} 9 2>&1; :"), 30)
        finally:
            computer.run("wg-quick", "down", conf)


def published(a, b, computer, report):
    ask = ["curl", "-sg", "-m", "5", "-H", f"Host: blog.{DOMAIN}", f"http://{ADDRESS}/there"]
    is_there = lambda: THERE in computer.run(*ask, check=False).stdout
    with report.case("a gateway publishes what runs on another node, through the tunnel, and does not any more"):
        b.run(f"echo {THERE} > /var/www/html/there")
        a.lab.zos("farm", "gateway", a.key, "--address", f"{ADDRESS}/24", "--router", Lan.ip(9), "--card", "eth1", "--domain", DOMAIN)
        site = {"name": "site", "type": "gateway-name-proxy", "data": {"name": "blog", "network": "net", "backends": [f"{b.ip4}:80"]}}
        since = len(a.lan.frames)
        a.put(b.as_peer(), more=[site])
        until("its page is there", is_there, 60)
        state = next(w for w in json.loads(a.on("get", "blog", "--json"))["workloads"] if w["name"] == "site")
        assert state["state"] == "ok" and state["answering"] == 1, state
        clear = [f for f in a.lan.frames[since:] if THERE.encode() in f]  # by the visitor, who asked without TLS, and by nobody else
        assert clear and all(f[:6] == clear[0][:6] and Lan.mac(2) not in (f[:6], f[6:12]) for f in clear), clear[:2]
        a.put(b.as_peer())
        assert not is_there()
        a.lab.zos("farm", "gateway", a.key, "--forget")


def lasting(a, b, report):
    other = {"key": base64.b64encode(secrets.token_bytes(32)).decode(), "subnet": "10.20.9.0/24", "endpoint": "192.0.2.99:51820"}
    heard = lambda: a.run("cat /tmp/flow").split()
    def goes_on():
        before = len(heard())
        until("it flows", lambda: len(heard()) > before + 2, 30)
    goes_on()
    broken = heard().count("again")
    with report.case("a third peer comes and goes, and a flow does not notice"):
        a.put(b.as_peer(), other)
        assert a.path()["state"] == "ok" and a.path(1)["key"] == other["key"] and not a.path(1)["preshared"]
        goes_on()
        a.put(b.as_peer())
        goes_on()
        assert heard().count("again") == broken
    with report.case("the engine dies, on both sides: the flow does not notice, and they meet anew"):
        for end in (a, b):
            end.node.shell("kill -9 $(pidof noded)")
        goes_on()
        for end in (a, b):
            until("they have met", lambda: end.is_met(), 90)
        goes_on()
        lines = heard()
        last = lines[len(lines) - lines[::-1].index("again"):] if "again" in lines else lines
        assert lines.count("again") == broken and last == [str(i + 1) for i in range(len(last))], "the same flow, without a gap"


def strangers(a, b, lan, report):
    with report.case("whoever has no key gets no answer from the open port"):
        port = int(a.path_end()["listen_port"])
        since = len(lan.frames)
        for payload in (b"", b"test", b"\1\0\0\0" + os.urandom(144), b"\4\0\0\0" + os.urandom(60)):
            lan.tell(1, port, payload)
        assert a.fetches(b.ip4), "and the others do"
        assert not lan.asked_for_us(since)


def undeclared(a, b, report):
    with report.case("of a peer's part that one side does not declare nothing passes, and again once it does"):
        a.put(b.as_peer(subnet="10.20.2.0/25"))
        assert not a.fetches(b.ip4) and not b.fetches(a.ip4)
        a.put(b.as_peer())
        assert a.fetches(b.ip4, 10) and b.fetches(a.ip4, 10)


def gone(a, report):
    with report.case("without peers there is no device and no open port"):
        port = a.path_end()["listen_port"]
        assert a.node.shell(f"grep -ci ':{port:04X} ' /proc/net/udp")[0].strip() == "1"
        a.put()
        assert a.node.shell(f"grep -ci ':{port:04X} ' /proc/net/udp")[0].strip() == "0"


def told(a, *words):
    """What a change of the farm document says of the nodes."""
    got = subprocess.run([ZOS, "farm", *words], env=a.lab.environment(), capture_output=True, text=True, timeout=120)
    assert got.returncode == 0, got.stderr
    return {line[5:13]: "has the new" in line for line in got.stderr.splitlines() if line.startswith("node ")}


def again(a, b, report):
    with report.case("a node that is not there when the farm changes keeps no other from hearing of it, and is told later"):
        user = a.lab.zos("key").split()[0]
        assert told(a, "allow", user) == {a.key[:8]: True, b.key[:8]: True}
        shaken = a.path()["handshake"]
        b.stop()
        assert told(a, "allow", user) == {a.key[:8]: True, b.key[:8]: False}
        b.start()
        until("it is told", lambda: told(a, "tell") == {a.key[:8]: True, b.key[:8]: True}, 60)
        sequences = [a.lab.zos_json("node", "info", end.key)["farm_sequence"] for end in (a, b)]
        assert sequences[0] == sequences[1], sequences
    with report.case("a node that starts again meets anew, and its machine is reached as before"):
        until("it is reached", lambda: a.fetches(b.ip4), 240)
        assert b.path()["preshared"] and a.path()["handshake"] > shaken and b.fetches(a.ip4)


def main():
    report = Report("make node T=span")
    with Lab() as lab, Registry() as registry, tempfile.TemporaryDirectory() as directory, Lan(directory) as lan, Computer(lan, 9) as computer, \
            contextlib.ExitStack() as stack:
        lab.start_hub()
        lab.make_farm_with(registry)
        with open(f"{directory}/disk", "wb") as f:
            f.truncate(2000 << 20)
        registry.push(workload.build(NONCE, lab.dir, tools=True), "nginx", "1")
        image = f"{registry.host(GUEST_SEES_HOST)}/nginx:1"
        a, b = End(lab, lan, image, 1, HEARS), End(lab, lan, image, 2, COUNTS, [f.name])
        for end in (a, b):
            end.start()
            stack.callback(end.stop)
            end.key = next(n["node"] for n in lab.wait_nodes(end.number) if n["node"] != a.key)
            lab.zos("farm", "approve", end.key)
        until("there is a disk", lambda: lab.zos_json("node", "info", b.key)["durable"], 120)
        refusals(a, b, report)
        meet(a, b, lan, report)
        reach(a, b, lan, report)
        joined(a, b, computer, report)
        published(a, b, computer, report)
        lasting(a, b, report)
        undeclared(a, b, report)
        strangers(a, b, lan, report)
        again(a, b, report)
        gone(a, report)
    sys.exit(report.end())


main()
