#!/usr/bin/python3
"""Nothing answers from outside, and processes are what SECURITY.md says they are."""
import os, re, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import workload
from lab import GUEST_SEES_HOST, Lab, until
from qemu import Report
from registry import Registry
from storage import WAIT, Storage, on, volume
from wire import Wire

CAPS = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST
NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE
SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE""".split()


def promised():
    """The rows of SECURITY.md's table: name -> (uid, caps, no new privileges, seccomp)."""
    rows = {}
    for line in open("SECURITY.md"):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) == 6 and (cells[1].isdigit() or cells[1] == "a range of its own"):
            rows[cells[0]] = cells[1:5]
    return rows


def mask(text):
    return {"all": (1 << len(CAPS)) - 1, "none": 0}.get(text) if text in ("all", "none") else \
        sum(1 << CAPS.index(c) for c in text.split())


def processes(node, report):
    for name, (uid, caps, privileges, seccomp) in promised().items():
        with report.case(f"{name} is as SECURITY.md says"):
            find = "1" if name == "init" else f"$(pidof {name} | tr ' ' '\\n' | sort -n | head -n1)"
            text, status = node.shell(f"cat /proc/{find}/status")
            assert status == 0, f"{name} does not run"
            said = dict(re.findall(r"^(\w+):\s*(.*)$", text, re.M))
            if uid == "a range of its own":
                assert int(said["Uid"].split()[0]) >= 1 << 20, said["Uid"]
            else:
                assert said["Uid"].split() == [uid] * 4, said["Uid"]
            assert int(said["CapEff"], 16) == mask(caps), [c for i, c in enumerate(CAPS) if int(said["CapEff"], 16) >> i & 1]
            assert said["NoNewPrivs"] == ("1" if privileges == "yes" else "0"), said["NoNewPrivs"]
            assert said["Seccomp"] == ("2" if seccomp == "yes" else "0"), said["Seccomp"]


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
            processes(node, report)
            scans(wire, node, report)
        wire.close()
    return report.end()


sys.exit(main())
