#!/usr/bin/python3
"""Machines that take all they can get, one by one beside an innocent one: it, the node and its daemons go on, and the hog's owner is told."""
import calendar, os, re, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from owner import Owner, on_a_node, read_until
from qemu import Report

BOMBS = {"container": "mkfifo /f; echo begins; (while :; do (read x < /f) & done); exec sleep 600",  # ends up where no more can be born
         "vm": "bomb() { bomb | bomb & }; echo begins; bomb; sleep 600"}                           # each of them wants the processor
EATER = "echo begins; x=0123456789; while :; do x=$x$x; done"
FILLER = "trap exit TERM; echo begins; dd if=/dev/zero of=/fill bs=1M 2>/dev/null; echo full; sleep 600 & wait"
FLOOD = "echo begins; yes a line of a flood"
CRASHER = "echo x >> /count; echo so often: $(wc -l < /count); exit 3"
LINES = r"Z (stdout (begins|a line of a flood|.*\[the rest of this line was cut\])|node .*)$"
DROPPED = r"node ([\d.]+) (KiB|MiB) of output were dropped here"
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}
KILLED = "was killed: it used more than its 192 MiB of memory: give it more with 'memory'"
LOOKS = 5  # at everybody else while a hog is at it


class Others(Owner):
    """Everybody but the hog."""

    def daemons(self):
        # by the shell alone: with thousands of processes about, looking through all of them takes minutes
        return self.node.shell("for d in noded gridd; do read p < /sys/fs/cgroup/zos/services/$d/cgroup.procs; echo $p; done", 180)[0]

    def check_others(self, before):
        """Everybody but the hog answers, and is who they were."""
        for _ in range(LOOKS):
            assert self.lab.fetch("web").strip() == "a page"
            assert self.lab.zos("exec", "web", "--", "/usr/bin/sh", "-c", "echo here").strip() == "here"
            assert self.lab.zos_json("ps"), "noded has forgotten"
        status = self.status("web")
        assert status["state"] == "ok" and not status["restarts"], status
        assert self.daemons() == before, (self.daemons(), before)


def bombs(f, report, isolation):
    with report.case(f"{isolation}: a fork bomb"):
        before = f.daemons()
        with f.machine("bomb", isolation, BOMBS[isolation]):
            f.wait_log("bomb", "begins")
            f.check_others(before)
            if isolation == "container":
                said = lambda s: "4096 processes" in s.get("message", "") or KILLED in s.get("message", "")
                f.wait("bomb", "told to be one", said)
        f.check_others(before)


def eats(f, report, isolation):
    with report.case(f"{isolation}: a memory hog is killed, and told why"):
        before = f.daemons()
        with f.machine("eater", isolation, EATER):
            status = f.wait("eater", "killed", lambda s: s["state"] == "retrying" and KILLED in s["message"])
            assert status["restarts"] >= 1 and status["exit"] == 137, status
            f.check_others(before)


def fills(f, report, isolation):
    with report.case(f"{isolation}: a disk filler meets the end of its root and lives on"):
        before = f.daemons()
        with f.machine("filler", isolation, FILLER, rootfs_size="32MiB"):
            f.wait_log("filler", "stdout full")
            f.check_others(before)
            status = f.status("filler")
            assert status["state"] == "ok" and not status["restarts"], status


def dropped_a_second(f, name):
    """Bytes that its runner reads and drops, by the log's own lines and times: each line is of what came since the one before."""
    zos = f.lab.start_zos("logs", "-f", "--since", "1s", name, stdout=subprocess.PIPE)
    try:
        log = read_until(zos.stdout.fileno(), " of output were dropped here", 180, 6).splitlines()
    finally:
        zos.terminate()
        zos.communicate()
    told = [(calendar.timegm(time.strptime(l.split()[0], "%Y-%m-%dT%H:%M:%SZ")), float(m[1]) * UNITS[m[2]]) for l in log if (m := re.search(DROPPED, l))]
    return sum(size for _, size in told[1:]) / (told[-1][0] - told[0][0])


def floods(f, report, isolation):
    with report.case(f"{isolation}: a log flood is cut, and says so"):
        before = f.daemons()
        with f.machine("flood", isolation, FLOOD):
            f.wait_log("flood", " of output were dropped here: a machine's log takes 64 KiB a second")
            f.check_others(before)
            log = f.log("flood").splitlines()
            size = len("\n".join(log))  # what is kept, 256 KiB, and what came while it was read
            assert size <= 512 << 10 and all(re.search(LINES, l) for l in log), (size, [l for l in log if not re.search(LINES, l)][:3])
            read = dropped_a_second(f, "flood")
            print(f"     {read / 2**20:.1f} MiB a second are read and dropped")
            assert read < 6 << 20, read


def crashes(f, report, isolation):
    root = {"container": "keeps its root", "vm": "has a new root"}[isolation]
    with report.case(f"{isolation}: one that ends at once pauses longer each time, {root}, and says so"):
        with f.machine("crasher", isolation, CRASHER):
            pauses = lambda s: s["restarts"] >= 3 and s["state"] == "retrying"
            status = f.wait("crasher", "on its third try", pauses, 240)
            tries = status["restarts"]  # a look may come late
            counted = tries if isolation == "container" else 1
            said = f"ended with status 3, last words: so often: {counted}; next start in {1 << tries - 1}s"
            assert said in status["message"] and status["exit"] == 3, status
            assert f.log("crasher").count("so often: ") >= tries, f.log("crasher")


def main():
    report = Report("make node T=hogs")
    with on_a_node(Others) as f:
        f.lab.zos("run", f.image, "--name", "web", "--container")
        for isolation in ("container", "vm"):
            crashes(f, report, isolation)
            for hog in (eats, fills, floods, bombs):
                hog(f, report, isolation)
    return report.end()


sys.exit(main())
