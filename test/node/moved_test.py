#!/usr/bin/python3
"""A disk that carries a node into a machine, or answers late: who has nothing to lose becomes that node, who has leaves the disk alone and says so."""
import os, signal, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Lab, until
from qemu import Report
from registry import Registry
from served import served
from storage import WAIT, Storage

SIZE = 1100 << 20
LATE_S = 30


def boot(s):
    """A machine without disks, of which one is plugged in later."""
    return s.lab.newcomer(s.lab.node("debug", memory_mib=1536, extra=["-device", "virtio-scsi-pci,id=scsi"]))


def plug_in(s):
    s.node.qmp("blockdev-add", **{"driver": "raw", "node-name": "disk", "file": {"driver": "file", "filename": s.path}})
    s.node.qmp("device_add", driver="scsi-hd", bus="scsi.0", drive="disk", serial="disk", id="disk")


def disk(s, node):
    return {d["serial"]: d for d in s.lab.zos_json("node", "disks", node)["disks"]}.get("disk", {})



def made(s, report):
    with report.case("a node that has no disk takes the one that is plugged in, and is the same node with it"), boot(s) as (s.node, record):
        s.first = record["node"]
        s.lab.zos("farm", "approve", s.first)
        s.put("web", s.box("box", WAIT, []))
        assert not s.lab.zos_json("node", "info")["durable"]
        plug_in(s)
        until("it is durable", lambda: s.lab.zos_json("node", "info")["durable"], 120)
        s.uuid = disk(s, s.first)["uuid"]


def becomes(s, report):
    with boot(s) as (s.node, record):
        with report.case("a machine with nothing to lose becomes the node of a disk that is plugged in"):
            assert record["node"] != s.first and not record["approved"], record
            plug_in(s)
            until("it is the node of before", lambda: s.lab.run("node", "health", s.first).returncode == 0, 120)
            s.wait_state("web", "box", "ok", 180)
            assert disk(s, s.first)["uuid"] == s.uuid and s.lab.zos_json("node", "info", s.first)["durable"]
        with report.case("that disk is pulled out under it: a machine whose image was there starts again with another copy"):
            until("images are there", lambda: s.node.shell("ls /zos/disks/*/images/held | grep -c '^[0-9a-f]'")[0] == "1", 60)
            s.lab.zos("restart", "web/box")
            s.wait_state("web", "box", "ok")
            s.node.qmp("device_del", id="disk")
            for state in "(stopping|starting)", "ok":  # on the screen: without any disk that lasts it takes no orders
                s.node.wait_line(rf"Workloads +1 {state}\s*\n\| +no data disk", 120)


def late(s, report):
    """Its program stands still from before the kernel's first read on, for as long as a large disk may take to spin up."""
    with served(s.path) as (program, there), s.lab.node("debug", memory_mib=1536, extra=there) as s.node:
        s.node.qmp("query-status")  # it answers once it has opened the disk, and the firmware is at work
        program.send_signal(signal.SIGSTOP)
        threading.Timer(LATE_S, program.send_signal, [signal.SIGCONT]).start()
        with report.case("a node whose disk answers after half a minute is itself, and runs what ran there"):
            s.node.wait_line(r"is up, (\d+) services", 240)
            until("it is the node of before", lambda: s.lab.run("node", "health", s.first).returncode == 0, 180)
            until("what ran there runs", lambda: [w["state"] for w in s.lab.zos_json("get", "web")["workloads"]] == ["ok"], 180)
            d = next(d for d in s.lab.zos_json("node", "disks", s.first)["disks"] if d["serial"] == "served")
            assert d["uuid"] == s.uuid and s.lab.zos_json("node", "info", s.first)["durable"]


def stays(s, report):
    with boot(s) as (s.node, record):
        other = record["node"]
        s.lab.zos("farm", "approve", other)
        with report.case("one that is a farm's node already leaves the disk alone, and says whose it is and what to do"):
            plug_in(s)
            until("the disk was looked at", lambda: disk(s, other).get("state") == "foreign", 120)
            d = disk(s, other)
            assert d["uuid"] == s.uuid and "state of another node" in d["text"] and "zos node disks wipe" in d["text"], d
            assert d["text"] in s.lab.zos("node", "health", other)
            assert not s.lab.zos_json("node", "info", other)["durable"]
        with report.case("the farm wipes it: then it is this node's"):
            s.lab.zos("node", "disks", "wipe", "disk", other, "--confirm", "disk")
            until("it is durable", lambda: s.lab.zos_json("node", "info", other)["durable"], 120)
            assert disk(s, other)["uuid"] != s.uuid and disk(s, other)["state"] == "ready"


def main():
    report = Report("make node T=moved")
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        s = Storage(lab, registry, None)
        s.path = f"{lab.dir}/disk"
        with open(s.path, "wb") as f:
            f.truncate(SIZE)
        for part in (made, becomes, late, stays):
            part(s, report)
    return report.end()


sys.exit(main())
