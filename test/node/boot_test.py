#!/usr/bin/python3
"""The image in QEMU: it boots, gets an address, restarts what is killed, and goes down in order."""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from qemu import Node, Report

UP = r"Zero-OS \S+ is up, (\d+) services, ([0-9.]+) s after"


def cloud(report):
    with report.case("cloud: boots, gets a lease, power button"), Node("cloud") as node:
        up = node.wait_line(UP, 120)
        node.console.at = 0 # the lease may have come before
        node.wait_line(r"dhcp: eth0 has 10\.0\.2\.\d+", 60)
        node.wait_line(r"dhcp: up", 60)
        print(f"     up after {up[2]} s of kernel time")
        node.console.at = 0
        node.wait_line("drivers: all drivers are loaded", 60) # the button's among them
        node.qmp("system_powerdown")
        node.wait_line("going down: power button", 30)
        node.wait_line("all services are down", 30)
        assert node.wait_end() == 0


def looks(node, report):
    with report.case("debug: says so, and has a shell only there"):
        node.wait_line("debug flavour", 120)
        node.wait_line(UP, 120)
        node.console.at = 0
        node.wait_line(r"dhcp: up", 60)
        assert node.shell("echo $((6 * 7))") == ("42", 0)
    with report.case("name servers come from the lease"):
        text, status = node.shell("cat /etc/resolv.conf")
        assert status == 0 and "nameserver 10.0.2.3" in text, text
    with report.case("root is read-only, the rest runs nothing"):
        mounts, _ = node.shell("cat /proc/mounts")
        options = {line.split()[1]: line.split()[3].split(",") for line in mounts.splitlines()}
        assert "ro" in options["/"], mounts
        for at in ("/run", "/tmp", "/var"):
            assert {"noexec", "nosuid", "nodev"} <= set(options[at]), (at, options[at])
        assert node.shell("cp /usr/bin/busybox /tmp/b && /tmp/b true")[1] == 126
    with report.case("credentials of the boot loader are shown, to root only"):
        assert node.shell("cat /run/boot/credentials/farm.cred") == ("from the farm", 0)
        assert node.shell("touch /run/boot/credentials/x")[1] != 0
    with report.case("how much the kernel says is the command line's to tell"):
        assert node.shell("cut -f1 /proc/sys/kernel/printk") == ("5", 0)
    with report.case("nothing listens towards the outside"):
        text, _ = node.shell("cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"0A\"'")
        assert not text, text
    with report.case("drivers that workloads need are loaded"):
        node.console.at = 0
        node.wait_line("drivers: all drivers are loaded", 60)
        text, _ = node.shell("cut -d' ' -f1 /proc/modules")
        missing = {"overlay", "erofs", "nf_tables", "veth", "tun", "bridge", "vhost_vsock", "kvm_amd"} - set(text.split())
        assert not missing, missing
        text, _ = node.shell("stat -c '%a %g %n' /dev/kvm /dev/net/tun")
        assert text == "660 910 /dev/kvm\n660 910 /dev/net/tun", text


def kills(node, report):
    with report.case("a killed service runs again at once, another process, in its own group"):
        before, _ = node.shell("head -n1 /sys/fs/cgroup/zos/services/drivers/cgroup.procs")
        node.shell(f"kill -9 {before}")
        node.wait_line("drivers: killed by signal 9", 30)
        node.wait_line("drivers: again in 0 ms", 30)
        node.wait_line("drivers: up", 30)
        after, _ = node.shell("head -n1 /sys/fs/cgroup/zos/services/drivers/cgroup.procs")
        assert after.strip().isdigit() and after != before, (before, after)
    with report.case("privileges are those of the table"):
        pid, _ = node.shell("head -n1 /sys/fs/cgroup/zos/services/drivers/cgroup.procs")
        text, _ = node.shell(f"grep -E 'CapBnd|CapEff|NoNewPrivs' /proc/{pid}/status")
        assert text.split() == ["CapEff:", "0000000000011009", "CapBnd:", "0000000000011009", "NoNewPrivs:", "1"], text


def debug(report):
    with Node("debug", credentials={"farm.cred": b"from the farm"}, append="loglevel=5") as node:
        looks(node, report)
        kills(node, report)
        with report.case("an order to go down is carried out"):
            node.shell("kill -TERM 1; true")
            node.wait_line("going down: SIGTERM", 30)
            node.wait_line("all services are down", 30)
            assert node.wait_end() == 0


def main():
    report = Report("make node T=boot")
    cloud(report)
    debug(report)
    return report.end()


sys.exit(main())
