#!/usr/bin/python3
"""Nothing answers from outside, and processes are what SECURITY.md says they are."""
import os, re, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import promises, workload
from lab import GUEST_SEES_HOST, Lab, until
from qemu import Report
from registry import Registry
from storage import WAIT, Storage, on, volume
from wire import Wire

def from_the_first_moment(wire, node, report):
    with report.case("nothing answers while it boots either, before and after its lease"):
        answers, rounds = [], 0
        while not (wire.leased and re.search(r"is up, \d+ services", node.console.text)):
            answers += wire.scan((4, "tcp"), (22, 80, 443, 4222), 0.05) + wire.scan((4, "udp"), (53, 68, 546), 0.05)
            if wire.node_ip6:
                answers += wire.scan((6, "tcp"), (22, 80, 443, 4222), 0.05)
            rounds += 1
            assert rounds < 2000, "it does not come up"
        assert not answers, answers[:3]
        node.console.at = 0


def scans(wire, node, report):
    with report.case("the cable works: a lease, ARP and neighbour discovery, and what the node sends is seen"):
        assert wire.run(lambda: wire.leased, 60), "no DHCP request came"
        assert wire.ask_whether_alive(), (wire.alive4, wire.alive6)
        node.hvc.sock.sendall(b"ping -c 1 -W 1 192.0.2.1\n")
        assert wire.run(lambda: any(kind == "ipv4" and protocol == 1 for kind, protocol, _ in wire.told), 10), "its ping was not seen"
    with report.case("nothing answers while new rules take the place of old ones, again and again"):
        node.hvc.sock.sendall(b"for i in $(seq 40); do cp /run/zos/resolv.conf /run/zos/next; mv /run/zos/next /run/zos/resolv.conf; sleep 0.2; done; ping -c 1 -W 1 192.0.2.1\n")
        said, rounds = [], 0
        while not any(protocol == 1 for _, protocol, _ in said) and rounds < 3000:  # its ping says that it is through
            said += wire.scan((4, "tcp"), range(1, 257), 0.01)  # closely: it is a moment that each change would leave open
            rounds += 1
        answers = [a for a in said if a[1] != 1]
        assert not answers and 20 < rounds < 3000, (rounds, answers[:3])
    for version in (4, 6):
        with report.case(f"IPv{version}: no TCP port answers"):
            answers = wire.scan((version, "tcp"), range(1, 65536))
            assert not answers, answers[:3]
        with report.case(f"IPv{version}: no UDP port answers"):
            answers = wire.scan((version, "udp"), range(1, 65536, 7))
            assert not answers, answers[:3]
    with report.case("the node still answers ARP and neighbour discovery: it was there all the time"):
        wire.alive4 = wire.alive6 = False
        assert wire.ask_whether_alive(), (wire.alive4, wire.alive6)


def main():
    report = Report("make node T=security")
    with Lab() as lab, Registry() as registry, tempfile.TemporaryDirectory() as directory:
        wire = Wire(f"{directory}/lan")
        lab.start_hub()
        lab.make_farm_with(registry)
        with open(f"{directory}/disk", "wb") as f:
            f.truncate(2000 << 20)
        with lab.node("debug", extra=wire.args, memory_mib=2048, drives=[f.name]) as node:
            wire.connect()
            from_the_first_moment(wire, node, report)
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            with report.case("workloads run while it is looked at: a container and a virtual machine that listen on port 80, one with a volume, and a store"):
                registry.push(workload.build("scan me", lab.dir), "nginx", "1")
                for name, how in (("web", "--container"), ("web-vm", "--vm")):
                    lab.zos("run", f"{registry.host(GUEST_SEES_HOST)}/nginx:1", "--name", name, how)
                    assert lab.fetch(name) == "scan me\n"
                until("there is room for a volume", lambda: lab.zos_json("node", "info")["capacity"]["hdd"] > 500 << 20, 120)
                s = Storage(lab, registry, node)
                s.put("kept", volume("data"), {"name": "net", "type": "network", "data": {"subnet": "10.20.1.0/24"}}, {"name": "kv", "type": "zdb", "data": {"size": "100MiB"}}, s.box("vm", WAIT, [on("data", "/srv")], isolation="vm", memory="160MiB"))
            promises.check(node, report, "Processes")
            scans(wire, node, report)
        wire.close()
    return report.end()


sys.exit(main())
