#!/usr/bin/python3
"""Nothing answers from outside, and processes are what SECURITY.md says they are."""
import os, re, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Lab
from qemu import Report
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
        if len(cells) == 6 and cells[1].isdigit():
            rows[cells[0]] = cells[1:5]
    return rows


def mask(text):
    return {"all": (1 << len(CAPS)) - 1, "none": 0}.get(text) if text in ("all", "none") else \
        sum(1 << CAPS.index(c) for c in text.split())


def processes(node, report):
    for name, (uid, caps, privileges, seccomp) in promised().items():
        with report.case(f"{name} is as SECURITY.md says"):
            find = "1" if name == "init" else f"$(pidof {name} | cut -d' ' -f1)"
            text, status = node.shell(f"cat /proc/{find}/status")
            assert status == 0, f"{name} does not run"
            said = dict(re.findall(r"^(\w+):\s*(.*)$", text, re.M))
            assert said["Uid"].split() == [uid] * 4, said["Uid"]
            assert int(said["CapEff"], 16) == mask(caps), [c for i, c in enumerate(CAPS) if int(said["CapEff"], 16) >> i & 1]
            assert said["NoNewPrivs"] == ("1" if privileges == "yes" else "0"), said["NoNewPrivs"]
            assert said["Seccomp"] == ("2" if seccomp == "yes" else "0"), said["Seccomp"]


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
    with Lab() as lab, tempfile.TemporaryDirectory() as directory:
        wire = Wire(f"{directory}/lan")
        lab.start_hub()
        lab.make_farm()
        with lab.node("debug", extra=wire.args) as node:
            wire.connect()
            node.wait_line(r"is up, (\d+) services", 120)
            lab.wait_nodes()
            processes(node, report)
            scans(wire, node, report)
        wire.close()
    return report.end()


sys.exit(main())
