#!/usr/bin/python3
"""What a kernel says when it dies is told at the next start: on the screen's lines, in the service's log, once."""
import os, shutil, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Lab
from qemu import OVMF, Report

UP = r"is up, (\d+) services"


def dies(lab, report, variables):
    with lab.node("debug", uefi=variables) as node:
        with report.case("a first start has nothing to tell, and the firmware's variables for it"):
            node.wait_line(UP, 200)
            node.console.at = 0
            node.wait_line(r"all drivers are loaded", 60)
            assert node.shell("cat /sys/module/pstore/parameters/backend") == ("efi_pstore", 0)
            assert node.shell("ls /sys/fs/pstore") == ("", 0)
            assert "the kernel died" not in node.console.text
        with report.case("the kernel dies and the machine starts again"):
            node.shell("echo 1 > /proc/sys/kernel/panic; echo the last thing said > /dev/kmsg")
            node.hvc.sock.sendall(b"echo c > /proc/sysrq-trigger\n")
            assert node.wait_end(60) == 0


def tells(lab, report, variables):
    with lab.newcomer(lab.node("debug", uefi=variables)) as (node, record):
        with report.case("the next start says why, on the console and on the screen's lines"):
            node.console.at = 0
            node.wait_line(r"panics: the kernel died before this start: Kernel panic - not syncing: sysrq triggered crash", 60)
        with report.case("its last lines are in the service's log"):
            lab.zos("farm", "approve", record["node"])
            text = lab.zos("node", "logs", "panics", record["node"])
            assert "the last thing said" in text and "Call Trace:" in text, text[-2000:]
            assert text.index("the last thing said") < text.index("Kernel panic - not syncing"), text[-2000:]
        with report.case("the store is empty again"):
            assert node.shell("ls /sys/fs/pstore") == ("", 0)
            text, _ = node.shell("insmod $(find /usr/lib/modules -name efivarfs.ko); mount -t efivarfs none /mnt && ls /mnt")
            assert "BootOrder" in text and "dump-type" not in text, text


def main():
    report = Report("make node T=panic")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        variables = shutil.copyfile(f"{OVMF}_VARS_4M.fd", f"{lab.dir}/variables")
        dies(lab, report, variables)
        tells(lab, report, variables)
    return report.end()


sys.exit(main())
