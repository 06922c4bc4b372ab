#!/usr/bin/python3
"""The metal flavour finds what virtual machines seldom have: cards and controllers of real machines, as far as QEMU plays them."""
import os, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from qemu import Node, Report

SECTOR, FIRST_NET = 512, 2
# model of the network card; each has a network of its own, 10.0.N.0/24
CARDS = ("e1000e", "virtio-net-pci", "igb", "vmxnet3", "rtl8139")
# name, arguments with ID for the disk, what the kernel says of a disk of SIZE sectors
DISKS = (("NVMe", ["-device", "nvme,drive=ID,serial=nvme"], r"nvme0n1: p1$"),
         ("AHCI", ["-device", "ahci,id=ahci", "-device", "ide-hd,bus=ahci.0,drive=ID"], r"sd [\d:]+ \[sd.\] SIZE 512-byte"),
         ("virtio", ["-device", "virtio-blk-pci,drive=ID"], r"\[vd.\] SIZE 512-byte"),
         ("USB", ["-device", "qemu-xhci", "-device", "usb-storage,drive=ID"], r"sd [\d:]+ \[sd.\] SIZE 512-byte"),
         ("MegaRAID", ["-device", "megasas-gen2,id=raid", "-device", "scsi-hd,bus=raid.0,drive=ID"], r"sd [\d:]+ \[sd.\] SIZE 512-byte"))


def disk_make(path, sectors):
    subprocess.run(["truncate", f"--size={sectors * SECTOR}", path], check=True)
    subprocess.run(["sfdisk", "--quiet", path], input=b"label: gpt\nstart=1MiB\n", check=True)


def arguments(folder):
    """QEMU's, for all cards but the first, which is the machine's own, and all disks."""
    args = []
    for n, model in enumerate(CARDS[1:], FIRST_NET + 1):
        args += ["-netdev", f"user,id=net{n},net=10.0.{n}.0/24", "-device", f"{model},netdev=net{n},romfile="]
    for n, (name, more, _) in enumerate(DISKS):
        disk_make(f"{folder}/{n}", sectors(n))
        args += ["-drive", f"if=none,format=raw,id=disk{n},file={folder}/{n}", *(word.replace("ID", f"disk{n}") for word in more)]
    return args


def sectors(n):
    return 16384 + 2048 * n


def seen(node, pattern):
    node.console.at = 0
    node.wait_line(pattern, 60)


def finds(node, report):
    for n, model in enumerate(CARDS, FIRST_NET):
        with report.case(f"{model}: gets a lease"):
            seen(node, rf"dhcp: eth\d+ has 10\.0\.{n}\.\d+")
    for n, (name, _, pattern) in enumerate(DISKS):
        with report.case(f"{name}: its disk is seen"):
            seen(node, pattern.replace("SIZE", str(sectors(n))))


def main():
    report = Report("make node T=metal")
    with tempfile.TemporaryDirectory() as folder, Node("metal", memory_mib=2048, card=CARDS[0], append="ignore_loglevel",
                                                       extra=arguments(folder)) as node:
        with report.case("boots"):
            node.wait_line(r"is up, (\d+) services", 200)
        if report.passed:
            finds(node, report)
    return report.end()


sys.exit(main())
