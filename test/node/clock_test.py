#!/usr/bin/python3
"""The clock of a booted node: set by the farm's time server, by a lease's where the farm names none, and told of when none answers."""
import contextlib, os, re, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import GUEST_SEES_HOST, Lab, free_port, until, wait_for
from qemu import Report

WRONG_S = 3 * 86400
RIGHT_TO_S = 5  # a look at the node takes a moment


@contextlib.contextmanager
def time_server(lab):
    """A real one on loopback, which leaves this machine's own clock alone. Yields its port."""
    port = free_port()
    settings = [f"port {port}", "bindaddress 127.0.0.1", "allow 127.0.0.1", "local stratum 3", "cmdport 0", "bindcmdaddress /", "pidfile /", "user root"]
    program = subprocess.Popen(["chronyd", "-x", "-d", *settings], stdout=subprocess.DEVNULL, stderr=open(f"{lab.dir}/chronyd.log", "w"))
    try:
        yield port
    finally:
        program.terminate()
        program.wait()


def off_by(node):
    return abs(int(node.shell("date +%s")[0]) - time.time())


def boot(lab):
    """A node whose own clock is three days ahead."""
    ahead = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + WRONG_S))
    return lab.node("debug", extra=["-rtc", f"base={ahead}"])


def asks(node):
    """The process that asks, "" for none; it has a child."""
    return node.shell("pidof chronyd | tr ' ' '\\n' | sort -n | head -n1")[0]


def clock(lab):
    return lab.zos_json("node", "health")["clock"]


def sets(lab, report):
    with boot(lab) as node:
        with report.case("a node whose clock is days ahead sets it by the farm's time server, and is in the directory"):
            node.wait_line(r"is up, (\d+) services", 120)
            until("its clock is right", lambda: off_by(node) < RIGHT_TO_S)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            seen = wait_for("it is said to be set", lambda: clock(lab), lambda c: c["set"])
            assert seen["servers"] == 1 and seen["error_us"] < RIGHT_TO_S * 1000000, seen
            assert re.search(r"^clock +set by a time server, right to \d+ ms$", lab.zos("node", "health"), re.M), lab.zos("node", "health")
        with report.case("what sets it may do nothing else, and opens no port"):
            pid = asks(node)
            said = dict(re.findall(r"^(\w+):\s*(.*)$", node.shell(f"cat /proc/{pid}/status")[0], re.M))
            assert said["Uid"].split() == ["908"] * 4 and said["Seccomp"] == "2" and said["NoNewPrivs"] == "1", said
            assert all(int(said[c], 16) in (0, 1 << 25) for c in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")), said  # CAP_SYS_TIME
            sockets = node.shell(f"ls -l /proc/{pid}/fd | grep -o 'socket:.[0-9]*' | grep -o '[0-9]*'")[0].split()
            bound = node.shell("cat /proc/net/udp /proc/net/udp6 /proc/net/raw /proc/net/tcp")[0].splitlines()
            listens = [line for line in bound if line.split()[9:10] and line.split()[9] in sockets and re.search(r" 0+:0000 ", line)]
            assert not listens, listens
        with report.case("killed, it is started again; named no more, it is not asked any more"):
            node.shell(f"kill -9 {pid}")
            until("it runs again", lambda: asks(node) not in ("", pid))
            lab.zos("farm", "time", GUEST_SEES_HOST, "--forget")
            until("nothing asks", lambda: not asks(node))
            assert clock(lab)["servers"] == 0
        with report.case("a lease's time server is asked when the farm names none, and not beside the farm's"):
            lease = "interface=eth9 reason={} new_ntp_servers='192.0.2.7 nonsense' new_ip_address=192.0.2.1 /usr/lib/zos/dhcp-hook"
            asked = lambda: node.shell(f"tr '\\0' ' ' < /proc/{asks(node) or 'none'}/cmdline")[0]
            node.shell(lease.format("BOUND"))
            until("it is asked", lambda: "server 192.0.2.7 iburst" in asked())
            assert "nonsense" not in asked(), asked()
            lab.zos("farm", "time", "192.0.2.9")
            until("the farm's alone is asked", lambda: "192.0.2.9" in asked() and "192.0.2.7" not in asked())
            lab.zos("farm", "time", "192.0.2.9", "--forget")
            until("the lease's again", lambda: "192.0.2.7" in asked())
            node.shell(lease.format("EXPIRE"))
            until("the lease has ended", lambda: not asks(node))


def silent(lab, report):
    with lab.node("debug") as node:
        with report.case("of time servers that do not answer its owner is told"):
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[-1]["node"])
            assert clock(lab) == {"servers": 1, "set": False}, clock(lab)
            assert "none of 1 time servers has answered" in lab.zos("node", "health"), lab.zos("node", "health")


def main():
    report = Report("make node T=clock")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        with time_server(lab) as port:
            lab.zos("farm", "time", GUEST_SEES_HOST, "--port", str(port))
            sets(lab, report)
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        lab.zos("farm", "time", GUEST_SEES_HOST, "--port", str(free_port()))
        silent(lab, report)
    return report.end()


sys.exit(main())
