#!/usr/bin/python3
"""A disk of two sectors as a virtual machine on a node: it restarts itself, is restarted, paused, ended; disks that a node does not take."""
import json, os, re, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import workload
from disks import DiskOwner
from lab import refused, until
from owner import on_a_node
from qemu import Report


class SectorOwner(DiskOwner):
    def __init__(self, lab, registry, node):
        super().__init__(lab, registry, node)
        self.push("raw", {self.raw(): "disk.img"})
        for name, disks in self.bad().items():
            self.push(name, disks)

    def raw(self):
        """A disk of two sectors and room: bootsector.S, and where it counts."""
        at = f"{self.lab.dir}/raw.img"
        workload.run("as", "--32", "-o", f"{at}.o", "test/node/bootsector.S")
        workload.run("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", at, f"{at}.o")
        os.truncate(at, 1 << 20)
        return at

    def bad(self):
        """Images that a node must not take: what is wrong with each is told by its name."""
        at = f"{self.lab.dir}/bad"
        os.makedirs(at)
        workload.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-u", "-b", "/etc/passwd", f"{at}/backed", "1G")
        workload.run("qemu-img", "create", "-q", "-f", "qcow2", f"{at}/empty", "1G")
        return {"backed": {f"{at}/backed": "disk.qcow2"}, "two": {f"{at}/empty": "a.qcow2", f"{at}/backed": "b.qcow2"}}


def restarts(o, report):
    # the firmware's dots come in between, anywhere
    starts = lambda: re.findall(r"startnumber(\d)", re.sub(r"(?m)^\S+ stdout |[.\s]", "", o.log("raw")))
    with report.case("a raw disk image boots; when it restarts itself it is the same machine, with what it has written"):
        o.lab.zos("run", o.images["raw"], "--name", "raw", "--disk", "--memory", "256MiB", "--no-wait")
        until("it has started twice", lambda: len(starts()) == 2)
        status = o.wait("raw", "running", lambda s: s["state"] == "ok")
        assert starts() == ["1", "2"] and not status["restarts"], (starts(), status)
    with report.case("restarted by its owner it begins anew, with the disk of the image"):
        o.lab.zos("restart", "raw")
        until("it has started twice more", lambda: len(starts()) == 4)
        o.wait("raw", "running again", lambda s: s["state"] == "ok")
        assert starts() == ["1", "2", "1", "2"], starts()
    with report.case("paused and resumed it is the same; what does not listen to its power button is ended all the same"):
        o.lab.zos("pause", "raw")
        o.wait("raw", "paused", lambda s: s["state"] == "paused")
        o.lab.zos("resume", "raw")
        o.wait("raw", "resumed", lambda s: s["state"] == "ok")
        o.lab.zos("stop", "raw")
        status = o.wait("raw", "stopped", lambda s: s["state"] == "stopped")
        assert status["exit"] == 137 and starts() == ["1", "2", "1", "2"], (status, starts())
        o.lab.zos("delete", "raw")


def refusals(o, report):
    with open(f"{o.lab.dir}/user-data", "w") as f:
        f.write("#cloud-config\n")
    for name, why in (("backed", "names another file"), ("two", "has to hold one file")):
        with report.case(f"an image whose disk is {name} is not started, and told"):
            o.lab.zos("run", o.images[name], "--name", name, "--disk", "--user-data", f.name, "--memory", "512MiB", "--no-wait")
            data = json.loads(o.lab.zos("export", name))["workloads"][0]["data"]
            assert data["boot"] == "disk" and data["user_data"] == "#cloud-config\n", data
            status = o.wait(name, "told", lambda s: why in s.get("message", ""))
            assert status["state"] == "retrying", status
            assert o.node.shell("pidof qemu-system-x86_64")[1] != 0, "nothing runs"
            o.lab.zos("delete", name)
    with report.case("what means nothing for a disk image is refused with its path"):
        with refused("/workloads/0/data/args: a disk image decides this by itself"):
            o.deploy_disk("bad", "raw", args=["x"])


def main():
    report = Report("make node T=sector")
    with on_a_node(SectorOwner) as o:
        restarts(o, report)
        refusals(o, report)
    return report.end()


sys.exit(main())
