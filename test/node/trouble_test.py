#!/usr/bin/python3
"""What can happen to a node's first processes: too little memory or room, a clock that jumps, a hang, a power button too early. A workload
beside them goes on."""
import os, re, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Failed, refused, select_pause, wait_for
from owner import Owner, on_a_node
from qemu import Node, Report

GROUPS = "/sys/fs/cgroup/zos/services"
WATCHDOG = ["-device", "i6300esb", "-action", "watchdog=reset"]


class Neighbour(Owner):
    """Who must not notice: a container that serves a page."""

    def settle(self):
        self.lab.zos("run", self.image, "--name", "web", "--container")
        self.check()

    def check(self):
        assert self.lab.fetch("web").strip() == "a page"
        status = self.status("web")
        assert status["state"] == "ok" and not status["restarts"], status

    def check_soon(self):
        """The same, for a node that may be on its way back to its hub."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.check()
            except Failed:
                if time.monotonic() > deadline:
                    raise
                select_pause()

    def main_process(self, service):
        return self.node.shell(f"head -n1 {GROUPS}/{service}/cgroup.procs")[0].strip()

    def unit(self, service):
        """What health says of SERVICE."""
        try:
            return next(s for s in self.lab.zos_json("node", "health")["services"] if s["name"] == service)
        except Failed as e:  # who would say it is on the way back
            return {"state": str(e)}

    def lease(self):
        return sorted(self.node.shell("ip -4 addr show dev eth0 | grep inet; ip route; cat /run/zos/resolv.conf")[0].splitlines())


def squeezed(f, service, has_children):
    """SERVICE has no memory until it was killed twice. One that leaves processes of its own behind gets a new group, with the memory it should have."""
    before, limit = f.main_process(service), f.node.shell(f"cat {GROUPS}/{service}/memory.max")[0].strip()
    assert before.isdigit() and limit, (before, limit)
    f.node.shell(f"echo 64K > {GROUPS}/{service}/memory.max; true")
    f.node.wait_line(f"{service}: killed for want of memory", 60)
    if not has_children:
        f.node.wait_line(f"{service}: again in [1-9]\\d* ms", 60)
        f.node.shell(f"echo {limit} > {GROUPS}/{service}/memory.max")
    f.node.wait_line(f"{service}: up", 120)
    lasts = lambda now: now["state"] == "up" and now["since_s"] >= 2  # there are those that count as up before they took any memory
    assert "want of memory" in wait_for(f"{service} is up", lambda: f.unit(service), lasts, 120).get("text", ""), f.unit(service)
    assert f.main_process(service) not in ("", before)
    assert f.node.shell(f"cat {GROUPS}/{service}/memory.max")[0].strip() == limit


def out_of_memory(f, report):
    for service in ("gridd", "imaged", "noded", "console", "drivers", "clock", "dhcp"):
        with report.case(f"{service} runs out of memory: killed, started until there is enough, and nobody else noticed"):
            lease = f.lease()
            assert any(" 10.0.2.15/24 " in line for line in lease), lease
            squeezed(f, service, has_children=service == "dhcp")
            f.check_soon()
            wait_for("the lease is as it was", f.lease, lambda now: now == lease)


def no_room(f, report):
    with report.case("/run is full: daemons are back all the same"):
        f.node.shell("for d in /run /run/zos; do dd if=/dev/zero of=$d/fill bs=64K; done 2>/dev/null; true", 240)
        for service in ("noded", "gridd", "imaged"):
            f.node.shell(f"kill -9 {f.main_process(service)}")
            f.node.wait_line(f"{service}: up", 120)
        f.check_soon()
    with report.case("what is deployed then waits, says why, and comes when there is room"):
        f.lab.zos("run", f.image, "--name", "more", "--container", "--memory", "64MiB", "--no-wait")  # a node this full has little left
        now = f.wait("more", "told to wait", lambda s: s["state"] == "retrying")
        assert "o space left" in now["message"], now
        f.node.shell("rm /run/fill /run/zos/fill")
        f.wait("more", "up", lambda s: s["state"] == "ok")
        f.lab.zos("delete", "more")
    with report.case("where an order cannot be kept it is refused with the reason, and nothing is lost"):
        f.node.shell("dd if=/dev/zero of=/run/zos/state/fill bs=4K 2>/dev/null; true")
        with refused("o space left"):
            f.lab.zos("run", f.image, "--name", "more", "--container", "--memory", "64MiB")
        f.node.shell(f"kill -9 {f.main_process('noded')}")
        f.node.wait_line("noded: up", 120)
        f.check_soon()
        f.node.shell("rm /run/zos/state/fill")
        f.lab.zos("run", f.image, "--name", "more", "--container", "--memory", "64MiB")
        f.lab.zos("delete", "more")
        f.check()


def runner(f, report):
    with report.case("a runner that cannot start is told, its machine can be deleted, and with a good one it runs"):
        f.node.shell("mount --bind /usr/bin/mkfs.erofs /usr/lib/zos/machine")  # it knows no such word and ends with 1
        f.lab.zos("run", f.image, "--name", "more", "--container", "--no-wait")
        now = f.wait("more", "told to fail", lambda s: s["state"] == "retrying")
        assert "its runner failed" in now["message"], now
        f.lab.zos("delete", "more")
        f.node.shell("umount /usr/lib/zos/machine")
        f.lab.zos("run", f.image, "--name", "more", "--container")
        f.lab.zos("delete", "more")
        f.check()


def clock(f, report):
    with report.case("a clock that jumps: orders say so, services and workloads do not care, and set right all is as before"):
        before = [f.main_process(s) for s in ("noded", "gridd", "imaged")]
        for hours in (2, -2):
            f.node.shell(f"date -s @$(($(date +%s) + {hours * 3600}))")
            with refused("look at both clocks"):
                f.lab.zos("ps")
            f.node.shell(f"date -s @$(($(date +%s) - {hours * 3600}))")
            f.check()
        assert before == [f.main_process(s) for s in ("noded", "gridd", "imaged")], before


def hang(f, report):
    with report.case("PID 1 hangs: the watchdog starts the machine again"):
        name, _ = f.node.shell("cat /sys/class/watchdog/watchdog*/identity")
        assert "i6300ESB" in name and "Software" in name, name
        f.node.console.at = 0
        f.node.wait_line("watchdog: i6300ESB timer starts the machine again should PID 1 hang for 30 s", 30)
        f.node.shell("mkdir /sys/fs/cgroup/hang && echo 1 > /sys/fs/cgroup/hang/cgroup.procs && echo 1 > /sys/fs/cgroup/hang/cgroup.freeze", 30)
        f.node.wait_end(120)  # -no-reboot: QEMU ends where the machine would start again


def early(report):
    with report.case("switched off while it starts: it goes down in order wherever it was"):
        for delay in (0, 0.2, 0.6):
            with Node("debug") as node:
                node.hvc.sock.sendall(f"sleep {delay}; kill -TERM 1\n".encode())
                node.wait_line("going down: SIGTERM", 120)
                so_far = node.console.text[:node.console.at]
                assert delay or not re.search(r"is up, \d+ services", so_far), so_far  # with no delay it was on its way up still
                node.wait_line("all services are down", 60)
                assert node.wait_end() == 0


def main():
    report = Report("make node T=trouble")
    early(report)
    with on_a_node(Neighbour, extra=WATCHDOG) as f:
        f.settle()
        for trouble in (out_of_memory, no_room, runner, clock, hang):
            trouble(f, report)
    return report.end()


sys.exit(main())
