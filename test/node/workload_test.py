#!/usr/bin/python3
"""nginx on a node, as a container and as a virtual machine: deployed, reached, read, unharmed by what dies around it, deleted without a trace."""
import os, re, secrets, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import workload
from lab import GUEST_SEES_HOST, Failed, Lab
from qemu import Report, Timeout
from registry import Registry


class Setup:
    def __init__(self, lab, registry, node):
        self.lab, self.node, self.nonce = lab, node, secrets.token_hex(8)
        self.image = f"{registry.host(GUEST_SEES_HOST)}/nginx:1"
        self.digest = None
        registry.push(workload.build(f"page {self.nonce}", lab.dir), "nginx", "1")
        self.digest = registry.digest("nginx", "1")

    def status(self, name):
        return self.lab.zos_json("get", name)["workloads"][0]

    def check_page(self, name):
        page = self.lab.fetch(name)
        assert page.strip() == f"page {self.nonce}", page

    def traces(self):
        """What deployments leave on the node: processes, groups, directories, links, namespaces."""
        text, _ = self.node.shell("ls /run/zos/machines /run/zos/network /sys/fs/cgroup/zos/machines | grep -E '^[0-9a-f]{16}$'; "
                                  "ls /sys/class/net | grep ^zm; pidof crun nginx qemu-system-x86_64 machine; mount | grep -E 'netns|layers'")
        return text


def runs(s, report, name, how):
    with report.case(f"{name}: deployed {how}, its page is this run's, its log is read"):
        s.lab.zos("run", s.image, "--name", name, how)
        status = s.status(name)
        assert status["state"] == "ok" and status["isolation"] == how[2:] and status["image_digest"] == s.digest, status
        s.check_page(name)
        log = s.lab.zos("logs", name)
        assert re.search(r'^\S+Z stdout .*"GET / HTTP', log, re.M), log


def what_is_inside(s, report):
    with report.case("the container's root is nobody on the node, filtered, bounded"):
        pid, _ = s.node.shell("pidof nginx | tr ' ' '\\n' | sort -n | head -n1")
        said = dict(re.findall(r"^(\w+):\s*(.*)$", s.node.shell(f"cat /proc/{pid}/status")[0], re.M))
        assert int(said["Uid"].split()[0]) >= 1 << 20 and said["Seccomp"] == "2", said
        group = s.node.shell(f"sed s,^0::,, /proc/{pid}/cgroup")[0]
        at = s.node.shell(f"find /sys/fs/cgroup/zos/machines -name cgroup.procs | while read f; do grep -qx {pid} $f && dirname $f; done")[0]
        limits = s.node.shell(f"d={at}; cat $d/memory.max $d/../memory.max $d/cpu.max $d/../cpu.max 2>/dev/null")[0]
        assert str(256 << 20) in limits and "100000 100000" in limits, (group, at, limits)
    with report.case("QEMU runs as a user of its own, without capabilities, filtered"):
        pid, _ = s.node.shell("pidof qemu-system-x86_64")
        said = dict(re.findall(r"^(\w+):\s*(.*)$", s.node.shell(f"cat /proc/{pid}/status")[0], re.M))
        assert said["Uid"].split() == ["904"] * 4 and int(said["CapEff"], 16) == 0 and said["Seccomp"] == "2", said
        assert said["NoNewPrivs"] == "1", said


def survives(s, report):
    for daemon in ("noded", "gridd", "imaged"):
        with report.case(f"kill -9 of {daemon}: both go on, nothing is doubled"):
            before, _ = s.node.shell("pidof nginx qemu-system-x86_64 machine | tr ' ' '\\n' | sort -n")
            s.node.shell(f"kill -9 $(pidof {daemon})")
            for name in ("web", "web-vm"):
                s.check_page(name)
            for name in ("web", "web-vm"):
                status = s.status(name)
                assert status["state"] == "ok" and status["restarts"] == 0, status
            after, _ = s.node.shell("pidof nginx qemu-system-x86_64 machine | tr ' ' '\\n' | sort -n")
            assert before == after, (before, after)
    with report.case("a killed workload is started again"):
        s.node.shell("kill -9 $(pidof nginx | tr ' ' '\\n' | sort -n | head -n1)")
        deadline = 30
        while s.status("web")["restarts"] < 1 and deadline:
            deadline -= 1
        s.check_page("web")
        assert s.status("web")["restarts"] == 1, s.status("web")


def refused(s, report):
    with report.case("an image that is not there is tried again, and told"):
        s.lab.zos("run", s.image.replace("nginx:1", "nothing:1"), "--name", "none", "--container", "--no-wait")
        while s.status("none")["state"] != "retrying":
            pass
        assert "nothing" in s.status("none")["message"], s.status("none")
        s.lab.zos("delete", "none")
    with report.case("more memory than the node has is refused, with what is left"):
        try:
            s.lab.zos("run", s.image, "--name", "big", "--memory", "64GiB", "--container")
            raise AssertionError("it was accepted")
        except Failed as e:
            assert "needs 64 GiB of memory and this node has" in str(e), e


def main():
    report = Report("make node T=workload")
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        with lab.node("debug", memory_mib=2048) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            s = Setup(lab, registry, node)
            clean = s.traces()
            runs(s, report, "web", "--container")
            runs(s, report, "web-vm", "--vm")
            what_is_inside(s, report)
            survives(s, report)
            refused(s, report)
            with report.case("deleted without a trace"):
                assert s.traces() != clean
                lab.zos("delete", "web")
                lab.zos("delete", "web-vm")
                assert s.traces() == clean, s.traces()
                assert "Nothing of yours" in lab.zos("ps")
    return report.end()


sys.exit(main())
