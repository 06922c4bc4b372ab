#!/usr/bin/python3
"""Public addresses of machines on a booted node: a computer on the network of the address reaches the machine that has it, which leaves with it; and the next one
after it."""
import os, secrets, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import workload
from lab import GUEST_SEES_HOST, Failed, Lab, refused, until
from lan import Computer, Lan
from qemu import Report
from registry import Registry
from storage import Storage

NONCE = secrets.token_hex(16)
ADDRESS, OTHER = "192.0.2.184", "192.0.2.185"
SERVE = "echo {} > /var/www/html/index.html; nginx; trap exit TERM; sleep 100000 & wait"


def ip(name):
    return {"name": name, "type": "ip", "data": {"v4": True}}


class Owner(Storage):
    def __init__(self, lab, image, node, computer, lan, key):
        self.lab, self.image, self.node, self.computer, self.lan, self.key = lab, image, node, computer, lan, key

    def machine(self, name, says, **data):
        return self.box(name, SERVE.format(says), [], **data)

    def page(self, address, seconds=3):
        return self.computer.run("curl", "-s", "-m", str(seconds), f"http://{address}/", check=False).stdout.strip()

    def address(self, deployment, name="front"):
        return self.state(deployment, name)["addresses"][0]

    def leaves_as(self, deployment, machine):
        """Whose address the computer sees when the machine opens a connection to it."""
        before = len(self.lan.frames)
        try:
            self.sh(deployment, machine, f"wget -q -T 2 -O - http://{Lan.ip(9)}:7000/")
        except Failed:
            pass
        with self.lan.lock:
            frames = self.lan.frames[before:]
        return {".".join(map(str, f[26:30])) for f in frames if f[12:14] == b"\x08\x00" and f[23] == 6 and f[36:38] == (7000).to_bytes(2, "big")}

    def capacity(self):
        c = self.lab.zos_json("node", "info", self.key)["capacity"]
        return c["addresses"], c["addresses_used"]


def given(s, report):
    with report.case("a farm gives a node addresses; without them nobody gets one"):
        with refused("this node has no public addresses for machines"):
            s.put("blog", ip("front"))
        with refused("holds private addresses"):
            s.lab.zos("farm", "addresses", s.key, "10.0.0.0/29")
        with refused("--forget goes alone"):
            s.lab.zos("farm", "addresses", s.key)
        s.lab.zos("farm", "addresses", s.key, f"{ADDRESS}/31", "--card", "eth1")
        until("the node knows", lambda: s.capacity() == (2, 0), 30)


def reached(s, report):
    with report.case("a machine is reached at its address on every port, and leaves with it"):
        s.put("blog", ip("front"), s.machine("web", NONCE, public_ip="front"), s.machine("other", "another"))
        at = s.address("blog")
        assert at in (ADDRESS, OTHER) and s.state("blog", "front")["machine"] == "web" and s.capacity() == (2, 1)
        assert not s.page(OTHER if at == ADDRESS else ADDRESS)
        until("its page is there", lambda: s.page(at) == NONCE, 30)
        assert s.leaves_as("blog", "web") == {at} and s.leaves_as("blog", "other") == {Lan.ip(1)}
        assert not s.page(Lan.ip(1))
    with report.case("each is one deployment's: the second gets the other, the third none"):
        s.put("shop", ip("front"))
        assert {s.address("blog"), s.address("shop")} == {ADDRESS, OTHER} and s.capacity() == (2, 2)
        with refused("all 2 public addresses of this node are in use"):
            s.put("third", ip("front"))


def lasting(s, report):
    at = s.address("blog")
    with report.case("the engine dies: the page is there meanwhile, and the address stays"):
        s.node.shell("kill -9 $(pidof noded)")
        assert s.page(at) == NONCE
        s.wait_state("blog", "web", "ok", 60)
        assert s.address("blog") == at and s.page(at) == NONCE
    with report.case("it moves to another machine under what runs"):
        run = s.sh("blog", "web", "cat /proc/1/stat").split()[21]
        s.put("blog", ip("front"), s.machine("web", NONCE), s.machine("other", "another", public_ip="front"))
        until("the other answers", lambda: s.page(at) == "another", 30)
        assert s.address("blog") == at and s.sh("blog", "web", "cat /proc/1/stat").split()[21] == run
        assert s.leaves_as("blog", "web") == {Lan.ip(1)}


def returned(s, report):
    at = s.address("blog")
    with report.case("it is returned with its deployment, silent then, and the next one's"):
        s.lab.zos("delete", "blog")
        until("it is free", lambda: s.capacity() == (2, 1), 60)
        assert not s.page(at)
        s.put("third", ip("front"), s.machine("web", "third", public_ip="front"))
        assert s.address("third") == at
        until("its page is there", lambda: s.page(at) == "third", 30)
    with report.case("what the farm takes back leads nowhere"):
        s.lab.zos("farm", "addresses", s.key, "--forget")
        s.wait_state("third", "front", "degraded", 30)
        until("nothing answers", lambda: not s.page(at), 10)


def main():
    report = Report("make node T=ip")
    with Lab() as lab, Registry() as registry, tempfile.TemporaryDirectory() as directory, Lan(directory) as lan, Computer(lan, 9) as computer:
        lab.start_hub()
        lab.make_farm_with(registry)
        registry.push(workload.build(NONCE, lab.dir, tools=True), "nginx", "1")
        with lab.node("debug", memory_mib=1280, extra=lan.args(1)) as node:
            lan.connect(1)
            node.wait_line(r"is up, (\d+) services", 200)
            key = lab.wait_nodes()[0]["node"]
            lab.zos("farm", "approve", key)
            s = Owner(lab, f"{registry.host(GUEST_SEES_HOST)}/nginx:1", node, computer, lan, key)
            for part in (given, reached, lasting, returned):
                part(s, report)
    sys.exit(report.end())


main()
