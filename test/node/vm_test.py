#!/usr/bin/python3
"""One image as a container and as a virtual machine (nested KVM) on a debug node, without a grid."""
import hashlib, os, re, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from machine import Machine, busybox_layer, make_disk, take_layers
from qemu import Node, Report

LAYERS = [busybox_layer(), {"app": b"#!/bin/sh\necho from the upper layer\n", "etc/motd": (0o644, b"upper\n")}]
LOOKS = """id -u; echo "$WORD"; hostname; cat /etc/motd; /app; grep -c 10.0.2.3 /etc/resolv.conf; grep box /etc/hosts
echo wrong >&2; touch /new && echo writable; dd if=/dev/zero of=/big bs=1M count=32 2>/dev/null || echo full
ip -o -4 addr show eth0 | awk '{print $4}'; ip route | head -n1; ls /sys/class/net | tr '\\n' ' '; exit 7"""
WAITS = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done"


def ident(name):
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def run(node, name, isolation, script, **spec):
    """A machine that ends by itself: (its last state, itself)."""
    m = Machine(node, ident(name), isolation, script, 2, **spec)
    text, status = m.start()
    assert status == 0, text
    return m.wait("exited"), m


def box_status(m):
    """/proc/PID/status of the only process in the machine's group, as a dict, and its PID."""
    pid, _ = m.node.shell(f"cat /sys/fs/cgroup/zos/machines/{m.id}/box/cgroup.procs "
                          f"/sys/fs/cgroup/zos/machines/{m.id}/box/run/cgroup.procs 2>/dev/null | head -n1")
    text, _ = m.node.shell(f"cat /proc/{pid}/status")
    return {line.split(":")[0]: line.split()[1:] for line in text.splitlines() if ":" in line}, pid


def same_for_both(node, report, kind):
    with report.case(f"{kind}: runs the image: layers, user, names, network, limits"):
        state, m = run(node, kind, kind, LOOKS, memory=256 << 20) # in 128 MiB the guest's kernel once killed what fills the root
        assert state["exit"] == 7, (state, m.logs())
        address, gateway = m.net["address"], m.net["gateway"]
        want = ["0", "of the spec", "box", "upper", "from the upper layer", "1", f"{address} box", "writable", "full",
                f"{address}/31", f"default via {gateway} dev eth0 ", "eth0 lo "]
        assert m.lines() == want, m.lines()
        assert m.lines("stderr") == ["wrong"], m.lines("stderr")
        assert m.stop() == ("", 0)
    with report.case(f"{kind}: a user of the image's passwd, who may open /dev/stdout"):
        state, m = run(node, kind + "u", kind, "id -u; id -g; pwd; echo $HOME; echo again > /dev/stdout", user="app:www", workdir="/made/anew")
        assert m.lines() == ["1000", "33", "/made/anew", "/home/app", "again"] and state["exit"] == 0, (state, m.logs())
        m.stop()
    with report.case(f"{kind}: a program that is not there is said so"):
        state, m = run(node, kind + "n", kind, "", argv=["/nope"])
        assert state["exit"] == 125 and "nope" in state["message"] + str(m.logs()), (state, m.logs())
        m.stop()
    with report.case(f"{kind}: is started again as its policy says"):
        m = Machine(node, ident(kind + "r"), kind, "echo run; exit 1", 2, restart="on-failure")
        m.start()
        state = m.wait("backoff")
        assert state["exit"] == 1 and state["restarts"] == 1, state
        node.shell(f"until [ $(lab logs {m.id} | grep -c ' run$') = 2 ]; do lab wait {m.id} backoff >/dev/null; done")
        assert m.lines()[:2] == ["run", "run"], m.logs()
        m.stop()


def container(node, report):
    same_for_both(node, report, "container")
    with report.case("container: few capabilities, a filter, no new privileges, its own view"):
        script = ("grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | awk '{print $2}'; cat /sys/fs/cgroup/memory.max "
                  "/sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max; ls /run; unshare -U true || echo refused; mount -t tmpfs x /mnt 2>/dev/null "
                  "|| echo refused; touch /sys/x /sys/fs/cgroup/x /proc/sys/x 2>/dev/null || echo refused; cat /proc/1/comm; ls /proc/2 2>&1")
        state, m = run(node, "cap", "container", script)
        lines = m.lines()
        assert lines[:4] == ["00000000800405fb", "00000000800405fb", "1", "2"], m.logs()
        assert lines[4:7] == [str(128 << 20), "4096", "100000 100000"], m.logs()
        assert lines[7:] [:3] == ["refused"] * 3, m.logs()
        m.stop()
    with report.case("container: SIGTERM ends it, and its first process is nobody on the node"):
        m = Machine(node, ident("stop"), "container", WAITS, 2)
        m.start()
        node.shell(f"until lab logs {m.id} | grep -q up; do :; done")
        status, pid = box_status(m)
        assert int(status["Uid"][0]) >= 1 << 20, status
        assert m.stop() == ("", 0)
        assert node.shell(f"test -d /proc/{pid}")[1] != 0
    with report.case("container: two of one image share its mounts, and keep no others'"):
        pair = [Machine(node, ident(f"pair{i}"), "container", WAITS, 2) for i in (1, 2)]
        seen = []
        for m in pair:
            m.start()
            node.shell(f"until lab logs {m.id} | grep -q up; do :; done")
            runner = node.shell(f"head -n1 /sys/fs/cgroup/zos/machines/{m.id}/runner/cgroup.procs")[0]
            mounts = node.shell(f"cat /proc/{runner}/mountinfo")[0].splitlines()
            assert not [line for line in mounts if "/run/zos/layers/" in line], mounts
            seen.append([line.split()[2] for line in mounts if line.split()[4].startswith(f"/run/zos/machines/{m.id}/layers/")])
        assert len(seen[0]) == 2 and seen[0] == seen[1], seen
        for m in pair:
            m.stop()


def vm(node, report):
    same_for_both(node, report, "vm")
    with report.case("vm: QEMU is shut in"):
        m = Machine(node, ident("cage"), "vm", WAITS, 2)
        m.start()
        m.wait("running")
        status, pid = box_status(m)
        assert status["Uid"] == ["904"] * 4 and status["Gid"] == ["904"] * 4 and status["Groups"] == ["910"], status
        assert all(int(status[c][0], 16) == 0 for c in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")), status
        assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"], status
        text, _ = node.shell(f"ls /proc/{pid}/root/ /proc/{pid}/root/dev | tr '\\n' ' '")
        assert re.findall(r"[a-z0-9]+(?= )", text.split(": ", 1)[1]) [:4] == ["dev", "lib", "lib64", "usr"], text
        assert "kvm null urandom" in text, text
        text, _ = node.shell(f"tail -n +3 /proc/{pid}/net/dev | cut -d: -f1")
        assert text.split() == ["lo"], text
        text, _ = node.shell(f"ls -l /proc/{pid}/fd")
        assert not re.search(r"/run/zos/(noded|gridd|imaged|machines)", text), text
        text, _ = node.shell(f"(cd /sys/fs/cgroup/zos/machines/{m.id}/box; cat memory.max memory.peak cpu.max pids.max memory.events)")
        limit, peak = map(int, text.split()[:2])
        print(f"     memory: {peak >> 20} MiB of {limit >> 20} at most")
        assert limit == (128 + 64) << 20 and "150000 100000" in text and "oom_kill 0" in text, text
    with report.case("vm: SIGTERM reaches the program, and QEMU is gone"):
        assert m.stop() == ("", 0)
        assert node.shell(f"test -d /proc/{pid}")[1] != 0
    with report.case("vm: reaches its gateway, and nothing of the node answers"):
        script = ("G=$(ip route | awk '/default/ {print $3}'); arping -c 1 -w 5 -I eth0 $G >/dev/null && echo there; ping -c 1 -W 1 $G >/dev/null "
                  "|| echo silent; ip link add wg0 type wireguard 2>/dev/null && echo wireguard; for p in 22 53 80 4222; do nc -w 1 $G $p </dev/null && echo open; done; ping -c 1 -W 1 10.0.2.2 >/dev/null "
                  "|| echo private")
        state, m = run(node, "reach", "vm", script)
        assert m.lines() == ["there", "silent", "private"], (state, m.logs())
        m.stop()
    with report.case("vm: its processors offer no virtual machines, though the node's do"):
        state, m = run(node, "nested", "vm", "test -e /proc/cpuinfo && ! grep -wE 'svm|vmx' /proc/cpuinfo >/dev/null && echo none")
        assert node.shell("grep -qwE 'svm|vmx' /proc/cpuinfo")[1] == 0 and m.lines() == ["none"], (state, m.logs())
        m.stop()
    with report.case("vm: makes a WireGuard link with the module that it asked for (without, it just could not)"):
        state, m = run(node, "wg", "vm", "ip link add wg0 type wireguard && ls -d /sys/class/net/wg0 /proc/sys/net/bridge",
                       modules=["wireguard", "br-netfilter", "overlay"])
        assert sorted(m.lines()) == ["/proc/sys/net/bridge", "/sys/class/net/wg0"], (state, m.logs())
        m.stop()
    with report.case("vm: a module that the node does not have is a sentence"):
        state, m = run(node, "nomod", "vm", "true", modules=["wireguard", "zfs"])
        assert state["exit"] == 125 and "this node has no kernel module 'zfs' for virtual machines" in state["message"], state
        m.stop()
    with report.case("vm: a guest that panics has ended, and starts again"):
        m = Machine(node, ident("panic"), "vm", "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger", 2, restart="always")
        m.start()
        state = m.wait("backoff")
        assert state["exit"] == 125 and "went down" in state["message"], state
        m.stop()
    with report.case("vm: more layers than disks is a sentence"):
        m = Machine(node, ident("many"), "vm", "true", 2)
        m.spec["layers"] *= 12
        node.console.at = 0
        m.start()
        node.wait_line("the image has 24 layers and a virtual machine takes 1 to 22", 30)
        m.stop()


def main():
    report = Report("make node T=vm")
    with tempfile.TemporaryDirectory() as folder:
        disk = make_disk(LAYERS, folder)
        with Node("debug", memory_mib=2048, drives=[disk]) as node:
            with report.case("the node comes up and takes the layers"):
                node.wait_line("all drivers are loaded", 120)
                take_layers(node)
            container(node, report)
            vm(node, report)
    return report.end()


sys.exit(main())
