#!/usr/bin/python3
"""MANY deployments at once (200, or what the environment says): all are accepted, run, are told apart, and go without a trace."""
import concurrent.futures, os, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import until
from owner import Owner, on_a_node
from qemu import Report

MANY = int(os.environ.get("MANY", "200"))
CLIENTS = 12  # at once; one key may have 16 sessions
SCRIPT = "echo I am $HOSTNAME; trap 'exit 0' QUIT; sleep 100000 & wait"
DATA = {"cpu": 0.1, "memory": "64MiB"}


def names():
    return [f"m{n}" for n in range(MANY)]


def for_all(work):
    """WORK on all names, CLIENTS at a time; returns how long it took."""
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, names()))
    return time.monotonic() - began


def states(f):
    return {d["name"]: d["workloads"][0]["state"] for d in f.lab.zos_json("ps")["deployments"]}


def main():
    report = Report("make node T=many")
    with on_a_node(Owner, memory_mib=1536 + MANY * 66) as f:
        with report.case("the image is there"):
            f.deploy("first", "container", "exec sleep 100000", **DATA)
            f.wait("first", "up", lambda s: s["state"] == "ok")
        before = memory(f)
        with report.case(f"{MANY} deployments by {CLIENTS} clients at once are accepted"):
            took = for_all(lambda name: f.deploy(name, "container", SCRIPT, env={"HOSTNAME": name}, **DATA))
            print(f"     in {took:.1f} s")
        with report.case("all of them run, none was started twice"):
            began = time.monotonic()
            f.wait(f"m{MANY - 1}", "up", lambda s: s["state"] == "ok", 300)
            until("all run", lambda: list(states(f).values()) == ["ok"] * (MANY + 1), 300)
            print(f"     {time.monotonic() - began:.1f} s after the last was accepted")
            assert not any(w["restarts"] for d in f.lab.zos_json("ps")["deployments"] for w in d["workloads"])
        with report.case("each is itself"):
            for name in names()[::MANY // 10 or 1]:
                f.wait_log(name, f"I am {name}\n")
        print(f"     {(memory(f) - before) / MANY / 1024:.1f} MiB of the node's memory each")
        with report.case("deleted at once, they are gone without a trace"):
            took = for_all(lambda name: f.lab.zos("delete", name))
            until("only the first is there", lambda: list(states(f)) == ["first"], 300)
            print(f"     accepted in {took:.1f} s")
            for what in ("ls -d /run/zos/machines/*/", "ls -d /sys/fs/cgroup/zos/machines/*/", "ls /sys/class/net | grep ^zm"):
                until(f"'{what}' has one line", lambda: len(f.node.shell(what)[0].splitlines()) == 1, 120)
    return report.end()


def memory(f):
    """kB that are not available."""
    text, _ = f.node.shell("awk '/MemTotal|MemAvailable/ { print $2 }' /proc/meminfo", 60)
    total, available = map(int, text.split())
    return total - available


sys.exit(main())
