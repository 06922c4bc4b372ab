#!/usr/bin/python3
"""What an owner sees of machines on a booted node, in both isolations: health checks, what they use, their logs as they come."""
import os, select, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import refused, until
from owner import on_a_node, read_until
from qemu import Report

SERVER = "echo ok > /var/www/html/up; echo begins; exec nginx -g 'daemon off;'"
# a server that is there for as long as a file is
BESIDE = "trap exit TERM; echo > /up; echo begins; while :; do if [ ! -e /up ]; then nginx -s stop; elif ! pidof nginx; then nginx; fi >/dev/null; sleep 1; done"
IDLE = "trap exit TERM; echo ok > /up; echo begins; while :; do sleep 1; done"


def fails_and_recovers(o, report, isolation, kind, script, check, breaks, mends, why):
    name, patience = f"{kind}-{isolation}", 15 if isolation == "vm" else 6  # a server takes its time, longer in a virtual machine
    with report.case(f"{isolation}: {kind}: well, degraded, well again, then restarted"):
        with o.machine(name, isolation, script, health={**check, "every": 1, "timeout": 5, "failures": patience}):
            shown = o.wait(name, "up and well", lambda s: s["state"] == "ok" and s["health"]["state"] == "passing")["health"]
            assert shown["check"] == {**check, "every": 1, "timeout": 5, "failures": patience}, shown
            assert f"{name}: health passing: whether " in o.lab.zos("get", name), o.lab.zos("get", name)
            o.wait_log(name, "begins")
            inside = lambda script: o.lab.zos("exec", name, "--", "/usr/bin/sh", "-c", script)
            if kind == "http":
                one, = o.lab.zos_json("stats", "--once", name)["machines"]
                assert one["received"] > 0 and one["sent"] > 0, one
            inside(breaks)
            fails = "fails its health check: " + why  # before it listened it may have failed for another reason
            status = o.wait(name, "degraded", lambda s: s["state"] == "degraded" and fails in s["message"])
            assert f" in a row of {patience})" in status["message"] and not status["restarts"], status
            assert status["health"]["state"] == "failing", status
            inside(mends)
            status = o.wait(name, "well again", lambda s: s["state"] == "ok")
            assert not status["restarts"] and "message" not in status, status
            inside(breaks)
            o.wait(name, "restarted", lambda s: s["restarts"] == 1 and s["state"] == "ok")
            log = o.wait_log(name, "stdout begins", times=2)
            assert f" node failed its health check {patience} times in a row: {why}" in log, log


def follows(o, report, isolation):
    with report.case(f"{isolation}: logs -f --since goes on over a restart"):
        with o.machine("talks", isolation, "trap exit TERM; echo begins; echo wrong >&2; while :; do sleep 1; done"):
            o.wait_log("talks", "stdout begins")
            zos = o.lab.start_zos("logs", "-f", "--since", "1h", "talks", stdout=subprocess.PIPE)
            late = o.lab.start_zos("logs", "-f", "--since", "2100-01-01T00:00:00Z", "talks", stdout=subprocess.PIPE)
            try:
                read_until(zos.stdout.fileno(), " stdout begins\n")
                o.lab.zos("restart", "talks")
                read_until(zos.stdout.fileno(), " stdout begins\n")
                assert not select.select([late.stdout], [], [], 0)[0], "it showed what is older"
            finally:
                for child in (zos, late):
                    child.terminate()
                    child.communicate()


def uses(o, report, isolation):
    with report.case(f"{isolation}: stats show what it uses, once and as a table"):
        with o.machine("busy", isolation, "trap exit TERM; dd if=/dev/zero of=/some bs=1M count=5 2>/dev/null; echo begins; while :; do :; done", cpu=0.5):
            o.wait_log("busy", "begins")
            one, = o.lab.zos_json("stats", "--once", "busy")["machines"]
            own = 500 if isolation == "vm" else 0  # of QEMU's threads
            assert 100 <= one["cpu_milli"] <= 700 + own and one["cpu_milli_limit"] == 500, one
            assert 1 << 20 <= one["memory"] <= one["memory_limit"] and one["tasks"] >= 1 and not one["restarts"], one
            assert one["state"] == "running" and one.get("root", 5 << 20) >= 5 << 20 and ("root" in one) == (isolation == "container"), one
            table = o.lab.zos("stats", "--once").splitlines()
            assert table[0].split() == ["MACHINE", "CPU", "MEMORY", "TASKS", "ROOT", "RECEIVED", "SENT", "RESTARTS"], table
            assert len(table) == 2 and table[1].startswith("busy ") and "/ 50%" in table[1], table


def drains(o, report):
    with report.case("drained by the farm: stopped, refused, also after noded was killed; undrained: as before"):
        with o.machine("one", "container", IDLE), o.machine("two", "container", IDLE):
            o.lab.zos("stop", "two")
            for name, state in (("one", "ok"), ("two", "stopped")):
                o.wait(name, state, lambda s: s["state"] == state)
            o.lab.zos("node", "drain")
            for command in (("deploy", f"{o.lab.dir}/one.json", "--no-wait"), ("start", "two"), ("restart", "one")):
                with refused("draining this node"):
                    o.lab.zos(*command)
            said = lambda s: s["state"] == "stopped" and "draining" in s["message"]
            o.wait("one", "stopped", said)
            o.node.shell("kill -9 $(pidof noded)")
            o.wait("one", "stopped still", said)
            assert o.lab.zos_json("node", "info")["drained"]
            shown = lambda: [n["drained"] for n in o.lab.zos_json("node", "list")]
            until("in its record", lambda: shown() == [True])
            assert "drained: none of" in o.lab.zos("node", "list"), o.lab.zos("node", "list")
            o.lab.zos("node", "undrain")
            o.wait("one", "ok again", lambda s: s["state"] == "ok")
            until("gone from its record", lambda: shown() == [False])
            assert o.status("two")["state"] == "stopped" and not o.lab.zos_json("node", "info")["drained"], o.status("two")


def main():
    report = Report("make node T=watch")
    with on_a_node() as o:
        drains(o, report)
        for isolation in ("container", "vm"):
            follows(o, report, isolation)
            uses(o, report, isolation)
            fails_and_recovers(o, report, isolation, "http", SERVER, {"http": {"port": 80, "path": "/up"}},
                               "rm /var/www/html/up", "echo > /var/www/html/up", "port 80 answered 404 to GET /up")
            fails_and_recovers(o, report, isolation, "exec", IDLE, {"exec": ["/usr/bin/sh", "-c", "cat /up"]}, "rm /up", "echo > /up",
                               "the check ended with status 1: ")
            fails_and_recovers(o, report, isolation, "tcp", BESIDE, {"tcp": 80}, "rm /up", "echo > /up", "port 80: Connection refused")
    return report.end()


sys.exit(main())
