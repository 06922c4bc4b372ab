#!/usr/bin/python3
"""A volume in virtual machines and containers at once: what one writes the other reads, and nothing else of the node."""
import os, re, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Failed, Lab, refused, until
from qemu import Report
from registry import Registry
from storage import WAIT, Storage, on, volume

MIB = 1 << 20
SERVER = "virtiofsd"


def both_ways(s, report):
    with report.case("a container and a virtual machine have one volume: what one writes the other reads, with its owner"):
        vm = {"isolation": "vm", "memory": "160MiB"}
        s.put("shop", volume("data"), s.box("box", WAIT, [on("data", "/srv")]), s.box("vm", WAIT, [on("data", "/srv/data")], **vm),
              s.box("look", WAIT, [on("data", "/look", True)], **vm))
        s.sh("shop", "box", "echo from the box > /srv/word; chown 1000:2000 /srv/word; chmod 640 /srv/word")
        assert s.sh("shop", "vm", "cat /srv/data/word; stat -c %u:%g:%a /srv/data/word; stat -c %u /srv/data") == "from the box\n1000:2000:640\n0\n"
        s.sh("shop", "vm", "mkdir /srv/data/dir; echo from the vm > /srv/data/dir/word; chown -R 33:1000 /srv/data/dir; sync")
        assert s.sh("shop", "box", "cat /srv/dir/word; stat -c %u:%g /srv/dir/word") == "from the vm\n33:1000\n"
        s.sh("shop", "box", "echo more >> /srv/dir/word")
        until("it is seen in the other", lambda: s.sh("shop", "look", "cat /look/dir/word") == "from the vm\nmore\n", 20)


def fenced(s, report):
    with report.case("who may only read is held to it by the node, whatever its guest thinks"):
        with refused("Read-only file system"):
            s.sh("shop", "look", "echo no > /look/word")
        s.sh("shop", "look", "mount -o remount,rw /look && grep ' /look virtiofs rw' /proc/mounts")
        for script in ("echo no > /look/word", "rm /look/dir/word", "mkdir /look/new", "chmod 777 /look/word"):
            with refused("Read-only file system"):
                s.sh("shop", "look", script)
        assert s.sh("shop", "box", "cat /srv/word") == "from the box\n"
    with report.case("a link out of the volume leads into the machine that follows it, and never onto the node"):
        s.sh("shop", "box", "echo of the box > /etc/mark; ln -s /etc/mark /srv/abs; ln -s ../../../../../../etc/mark /srv/up; ln -s /zos/disks /srv/disks")
        s.sh("shop", "vm", "echo of the vm > /etc/mark; ln -s /proc/1/root/etc/mark /srv/data/proc")
        assert s.sh("shop", "vm", "cat /srv/data/abs /srv/data/up") == "of the vm\nof the vm\n"
        assert s.sh("shop", "box", "cat /srv/abs /srv/up /srv/proc") == "of the box\n" * 3
        with refused("No such file"):
            s.sh("shop", "vm", "ls /srv/data/disks/")
        with refused("Operation not permitted"):
            s.sh("shop", "vm", "mknod /srv/data/disk b 254 0")
    with report.case("the volume's limit reaches the guest, and what is free again is there again"):
        with refused("quota exceeded", "No space left"):
            s.sh("shop", "vm", "dd if=/dev/urandom of=/srv/data/large bs=1M count=300 && sync")
        s.sh("shop", "vm", "rm /srv/data/large && sync")
        until("there is room", lambda: s.sh("shop", "box", "head -c 1000000 /dev/zero > /srv/some && echo fits") == "fits\n", 60)


def server_of(s, workload):
    """PIDs of what serves volumes to WORKLOAD."""
    found = s.node.shell(f"for p in $(pidof {SERVER}); do echo $p $(cat /proc/$p/cgroup); done")[0]
    mine = s.node.shell(f"grep -l '\"hostname\":\"{workload}\"' /run/zos/machines/*/spec.json")[0].split("/")[4]
    return [line.split()[0] for line in found.splitlines() if mine in line]


def shut_in(s, report):
    with report.case("what serves it is nobody on the node, in the machine's group, and sees the volume alone"):
        pid, = server_of(s, "vm")
        text, _ = s.node.shell(f"cat /proc/{pid}/status")
        said = dict(re.findall(r"^(\w+):[ \t]*(.*)$", text, re.M))
        assert all(int(uid) >= 1 << 20 for uid in said["Uid"].split() + said["Gid"].split()), said
        assert not said["Groups"].strip() and said["NoNewPrivs"] == "1" and said["Seccomp"] == "2" and int(said["CapBnd"], 16) == 0, said
        for ns in ("user", "mnt", "net", "pid", "ipc", "uts"):
            own, init = (s.node.shell(f"readlink /proc/{p}/ns/{ns}")[0] for p in (pid, 1))
            assert own != init, ns
        mounts, _ = s.node.shell(f"awk '{{print $5, $6}}' /proc/{pid}/mountinfo; ls -1 /proc/{pid}/root")
        assert re.match(r"/ rw,nosuid,nodev,noexec\S*\n", mounts) and "\nword" in mounts and "\n/" not in mounts, mounts
        limit, _ = s.node.shell("cat $(ls -d /sys/fs/cgroup/zos/machines/*/box | head -n9 | sed 's,$,/memory.max,')")
        assert str((160 + 64 + 64) * MIB) in limit.split(), limit


def ends(s, report):
    with report.case("when what serves it dies, the machine starts again, says why, and finds what was there"):
        before = s.state("shop", "vm")["restarts"]
        pid, = server_of(s, "vm")
        s.node.shell(f"kill -9 {pid}")
        until("it has started again", lambda: (w := s.state("shop", "vm"))["state"] == "ok" and w["restarts"] > before, 120)
        assert "what serves its volume 'data' ended, and the virtual machine with it" in s.lab.zos("logs", "shop/vm")
        assert s.sh("shop", "vm", "cat /srv/data/word") == "from the box\n"
        assert s.state("shop", "box")["restarts"] == 0 and s.state("shop", "look")["restarts"] == 0
    with report.case("a machine that its owner restarts has it again, and nothing of the old one is left"):
        s.sh("shop", "vm", "echo kept > /srv/data/kept && sync")
        old, = server_of(s, "vm")
        s.lab.zos("restart", "shop/vm")
        until("it has it again", lambda: server_of(s, "vm") not in ([], [old]), 60)
        s.wait_state("shop", "vm", "ok")
        until("it answers", lambda: answers(s), 60)
        s.lab.zos("delete", "shop")
        until("all of it is gone", lambda: s.node.shell(f"pidof {SERVER} qemu-system-x86_64")[1] != 0, 60)


def answers(s):
    try:
        return s.sh("shop", "vm", "cat /srv/data/kept") == "kept\n"
    except Failed:
        return False


def main():
    report = Report("make node T=share")
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        drive = f"{lab.dir}/disk"
        with open(drive, "wb") as f:
            f.truncate(2000 * MIB)
        with lab.node("debug", memory_mib=2048, drives=[drive]) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            s = Storage(lab, registry, node)
            until("there is room for a volume", lambda: lab.zos_json("node", "info")["capacity"]["hdd"] > 500 * MIB, 120)
            both_ways(s, report)
            fenced(s, report)
            shut_in(s, report)
            ends(s, report)
    sys.exit(report.end())


main()
