#!/usr/bin/python3
"""What the boot configuration makes of a node's network cards: static addresses, a bond with a tag, name servers and fall-backs, a card that is left alone; what is in doubt is refused
and the screen says why; and a cable that is pulled and put back."""
import os, re, socket, struct, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import promises, router6
from lab import GUEST_SEES_HOST, Lab, until, wait_for
from lan import Lan
from owner import Owner
from qemu import Node, Report
from registry import Registry
from wire import OUR_MAC, ipv4, with_sum

HUB_NAME = "hub.uplink.test"
CARD = "52:54:00:12:34:56"  # QEMU's own for the first
ROUTER, DNS, SILENT = "198.51.100.1", "198.51.100.53", "10.0.2.77"
TAG, NODE_IP = 100, "198.51.100.60"
BOND, LEASED, SPARE = (1, 2), 3, 4  # places on the cable
LACP = bytes.fromhex("0180c2000002")


class Switch(Lan):
    """The other end of all cables but one: answers ARP for whatever is not the node's, and questions for HUB_NAME, each with the tag that it came with; and at one place
    it is a router of IPv6."""

    def __init__(self, directory):
        self.seen = []  # (place, tag, frame without it)
        super().__init__(directory)

    def take(self, s, number, frame):
        tag, plain = 0, frame
        if frame[12:14] == b"\x81\x00":
            tag, plain = struct.unpack("!H", frame[14:16])[0] & 0xfff, frame[:12] + frame[16:]
        self.seen.append((number, tag, plain))
        super().take(s, number, frame)
        for answer in (self.arp(plain), self.dns(plain), number == LEASED and router6.answer(plain)):
            if answer:
                self.send(s, answer[:12] + (struct.pack("!HH", 0x8100, tag) if tag else b"") + answer[12:])

    @staticmethod
    def arp(f):
        if f[12:14] != b"\x08\x06" or f[20:22] != b"\0\1" or f[28:32] == f[38:42] or f[38:42] not in (socket.inet_aton(ROUTER), socket.inet_aton(DNS)):
            return None
        return f[6:12] + OUR_MAC + f[12:20] + b"\0\2" + OUR_MAC + f[38:42] + f[22:32]

    @staticmethod
    def dns(f):
        if f[12:14] != b"\x08\0" or f[23] != 17 or f[36:38] != b"\0\x35" or f[30:34] != socket.inet_aton(DNS):
            return None
        query, name = f[42:], b"".join(bytes([len(p)]) + p.encode() for p in HUB_NAME.split(".")) + b"\0"
        is_there = query[12:].startswith(name)
        is_a = is_there and query[12 + len(name):][:2] == b"\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4" + socket.inet_aton(GUEST_SEES_HOST) if is_a else b""
        body = query[:2] + (b"\x81\x80" if is_there else b"\x81\x83") + b"\0\1" + struct.pack("!H", int(is_a)) + b"\0\0\0\0" + query[12:][:query[12:].index(b"\0") + 5] + record
        data = with_sum(f[26:30], 17, f[36:38] + f[34:36] + struct.pack("!HH", 8 + len(body), 0) + body, 6)
        return f[6:12] + OUR_MAC + b"\x08\0" + ipv4(17, data[:6] + b"\0\0" + data[8:], source=f[30:34], target=f[26:30])

    def came(self, word, since):
        """Where a datagram with WORD came in, and how tagged."""
        return {(number, tag) for number, tag, f in self.seen[since:] if word in f}


def mac(place):
    return Lan.mac(place).hex(":")


WORDS = " ".join([
    f"zos.uplink={CARD},address=10.0.2.99/24,address=fec0::99/64,router=10.0.2.2,router=fec0::2,dns={SILENT}",
    f"zos.uplink={'+'.join(map(mac, BOND))},bond=active-backup,vlan={TAG},address={NODE_IP}/24",
    f"zos.uplink={mac(LEASED).upper()}",
    "zos.uplink=52:54:00:99:99:99",
    f"zos.dns={DNS}"])


class Wired(Owner):
    def lines(self, command):
        text, status = self.node.shell(command)
        assert status == 0, text
        return text.splitlines()

    def addresses(self, link):
        return re.findall(r"inet6? (\S+) (?:brd \S+ )?scope (?:global|site)", "\n".join(self.lines(f"ip addr show dev {link}")))

    def reaches(self, switch, patience=20):
        """Asks for a new name again and again. Where it came in."""
        deadline = time.monotonic() + patience
        while True:
            word, since = os.urandom(8).hex(), len(switch.seen)
            self.node.shell(f"timeout 5 nslookup {word} {DNS}; true")
            if came := switch.came(word.encode(), since):
                return came
            assert time.monotonic() < deadline, f"no datagram in {patience} s"


def made(f, report):
    with report.case("a card has the static addresses of the boot configuration, in both families, and is known by its MAC"):
        assert f.addresses("card0") == ["10.0.2.99/24", "fec0::99/64"], f.addresses("card0")
        routes = f.lines("ip route show default; ip -6 route show default")
        assert any("via 10.0.2.2 dev card0" in r and "metric 100" in r for r in routes), routes
        assert any("via fec0::2 dev card0" in r and "metric 100" in r for r in routes), routes
        assert not f.lines("ip -6 addr show dev card0 | grep dynamic; true")
        f.node.console.at = 0
        f.node.wait_line(r"^\| Network +.*card0  10\.0\.2\.99/24 fec0::99/64|^\| +card0  10\.0\.2\.99/24 fec0::99/64", 30)
    with report.case("of several cards each is what was said: by DHCP, or left alone; one that is not there holds nothing up"):
        until("there is a lease", lambda: f"{Lan.ip(LEASED)}/24" in f.addresses("card2"))
        spare = f.lines(f"grep -l {mac(SPARE)} /sys/class/net/*/address")[0].split("/")[4]
        assert int(f.lines(f"cat /sys/class/net/{spare}/flags")[0], 16) & 1 == 0, f"{spare} is up"
        f.node.console.at = 0
        f.node.wait_line(rf"{spare}  not used", 30)


def by_router(f, report):
    with report.case("where a router advertises, an address follows from its prefix, another comes by DHCPv6, and name servers by both"):
        until("DHCPv6 gave its address", lambda: f"{router6.ADDRESS}/128" in f.addresses("card2"), 60)
        assert any(a.startswith(router6.PREFIX[:-1]) and a.endswith("/64") for a in f.addresses("card2")), f.addresses("card2")
        assert any("via fe80::1 dev card2" in r and "metric 300" in r for r in f.lines("ip -6 route show default")), f.lines("ip -6 route show default")
        until("both name servers are known", lambda: sorted(f.lines("cat /run/zos/dhcp/card2.ra /run/zos/dhcp/card2.dhcp6 2>/dev/null; true")) ==
              [f"nameserver {router6.RDNSS}", f"nameserver {router6.DNS}"], 20)


def names(f, report):
    with report.case("a name server that does not answer: the fall-back does, and so the hub was found by its name"):
        now = f.lines("cat /etc/resolv.conf")
        assert now[0] == f"nameserver {SILENT}" and now[2:] == [f"nameserver {DNS}", "options timeout:2 attempts:2"], now  # between them one of a lease
        assert any("connected" in h for h in re.findall(r"^\| Hub +(.*)$", f.node.console.text, re.M)), f.node.console.text[-2000:]
    with report.case("the farm's fall-back is one more, and goes again"):
        f.node.shell("mv /run/zos/dhcp/boot.fallback /run/zos/dhcp/aside")  # which has the one place that is left
        f.lab.zos("farm", "dns", "192.0.2.77")
        until("it is asked", lambda: "nameserver 192.0.2.77" in f.lines("cat /etc/resolv.conf"))
        f.node.shell("mv /run/zos/dhcp/aside /run/zos/dhcp/boot.fallback")
        f.lab.zos("farm", "dns", "192.0.2.77", "--forget")
        until("it is asked no more", lambda: f"nameserver {DNS}" in f.lines("cat /etc/resolv.conf"))


def bonded(f, switch, report):
    with report.case("all that leaves by the bond has the tag, and by one card"):
        first, = f.reaches(switch)
        assert first[0] in BOND and first[1] == TAG, first
        assert all(tag == TAG for number, tag, g in switch.seen if number in BOND and g[12:14] in (b"\x08\0", b"\x08\x06")), "untagged"
    with report.case("a cable of the bond is pulled: the other card goes on"):
        f.node.qmp("set_link", name=f"bond{first[0]}", up=False)
        try:
            second = wait_for("the other card", lambda: f.reaches(switch), lambda came: {n for n, _ in came} == set(BOND) - {first[0]}, 30)
            assert {tag for _, tag in second} == {TAG}, second
        finally:
            f.node.qmp("set_link", name=f"bond{first[0]}", up=True)
    with report.case("both are in it, and the screen tells parts from uplinks"):
        until("both are up", lambda: f.lines("grep -c 'MII Status: up' /proc/net/bonding/bond1") == ["3"])
        f.node.console.at = 0
        f.node.wait_line(r"bond1  connected", 40)
        f.node.wait_line(rf"bond1\.{TAG}  {re.escape(NODE_IP)}/24", 40)


def pulled(f, report):
    before = f.status("count")
    with report.case("the cable to the hub is pulled: the screen says so, and the workload goes on"):
        f.node.console.at = len(f.node.console.text)
        f.node.qmp("set_link", name="net", up=False)
        f.node.wait_line(r"card0  no cable", 60)
        f.node.wait_line(r"^\| Hub +not connected", 90)
        since = f.lines("date +%s")[0]
    with report.case("and is put back: the node recovers by itself"):
        f.node.qmp("set_link", name="net", up=True)
        began = time.monotonic()
        f.node.wait_line(r"^\| Hub +connected", 120)
        print(f"     told after {time.monotonic() - began:.1f} s")
        until("the workload is told", lambda: f.status("count")["state"] == "ok", 60)
        now = f.status("count")
        assert now["restarts"] == before["restarts"] == 0, now
        ticks = [int(t) for t in re.findall(r"tick (\d+)", f.log("count"))]
        gaps = [b - a for a, b in zip(ticks, ticks[1:])]
        assert ticks[-1] > int(since) and gaps and max(gaps) <= 5, gaps
    with report.case("a card with a lease loses it with its cable, and gets one again"):
        f.node.qmp("set_link", name="leased", up=False)
        until("the address is gone", lambda: not f.addresses("card2"))
        f.node.qmp("set_link", name="leased", up=True)
        until("there is a lease", lambda: f"{Lan.ip(LEASED)}/24" in f.addresses("card2"))


def configured(report):
    with Lab() as lab, Registry() as registry, tempfile.TemporaryDirectory() as directory, Switch(directory) as switch:
        lab.start_hub()
        with open(f"{lab.dir}/registry-ca.pem", "w") as f:
            f.write(registry.ca_pem)
        lab.zos("farm", "init", "demo", "--hub", f"nats://{HUB_NAME}:{lab.port}", "--hub-key", lab.hub_key, "--registry", registry.host(GUEST_SEES_HOST),
                "--registry-ca", f.name, "--open", f"{GUEST_SEES_HOST}/32")
        lab.zos("farm", "allow", lab.zos("key").strip())
        cards = [(place, f"bond{place}") for place in BOND] + [(LEASED, "leased"), (SPARE, "spare")]
        with lab.node("debug", memory_mib=1280, append=WORDS, extra=sum((switch.args(*card) for card in cards), [])) as node:
            for place, _ in cards:
                switch.connect(place)
            with report.case("it boots"):
                node.wait_line(r"is up, (\d+) services", 200)
            lab.zos("farm", "approve", lab.wait_nodes(1, 90)[0]["node"])
            owner = Wired(lab, registry, node)
            owner.deploy("count", "container", "while :; do echo tick $(date +%s); sleep 1; done")
            made(owner, report)
            promises.check(node, report, "With a boot configuration of its uplinks")
            by_router(owner, report)
            names(owner, report)
            bonded(owner, switch, report)
            owner.wait("count", "up", lambda s: s["state"] == "ok")
            pulled(owner, report)


def refused(report):
    with report.case("words in doubt: no card is used, and the screen says why"):
        with Node("cloud", append="zos.uplink=eth0,adress=10.0.2.99/24", credentials={"uplink.cred": b"zos.uplink=eth0\n"}) as node:
            node.wait_line(r"cards: no network card is used, because .*: the kernel command line: zos\.uplink=eth0,adress=10\.0\.2\.99/24: 'adress=", 120)
            node.wait_line(r"is up, (\d+) services", 120)
            node.wait_line(r"^\| Network +eth0  not used", 60)
            said = node.console.text
            assert "dhcp: eth0 has" not in said and "Network    eth0  10." not in said, said[-2000:]


def from_the_medium(report):
    with tempfile.TemporaryDirectory() as directory, Switch(directory) as switch:
        text = f"zos.uplink=eth1+eth2,bond=802.3ad,address={NODE_IP}/24,router={ROUTER}\n".encode()
        extra = sum((switch.args(place, f"bond{place}") for place in BOND), [])
        with report.case("the medium's words: the cloud flavour, too, speaks LACP on both cards of a bond; the card that is not named stays alone"):
            with Node("cloud", credentials={"uplink.cred": text}, extra=extra) as node:
                for place in BOND:
                    switch.connect(place)
                node.wait_line(r"is up, (\d+) services", 120)
                until("both cards speak LACP", lambda: {n for n, _, f in switch.seen if f[:6] == LACP} == set(BOND), 60)
                node.console.at = 0
                node.wait_line(r"^\| Network +eth0  not used|^\| +eth0  not used", 60)
                node.wait_line(rf"bond0  {re.escape(NODE_IP)}/24", 60)


def main():
    report = Report("make node T=uplink")
    refused(report)
    from_the_medium(report)
    configured(report)
    return report.end()


sys.exit(main())
