#!/usr/bin/python3
"""The image as UEFI starts it: from a USB stick, with the farm document beside it. The node is on its farm's hub then."""
import os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Lab
from qemu import Node, Report

BOOT = "::/EFI/BOOT"


def write_stick(path, uki, credential):
    """A disk with one EFI system partition: the image where firmware looks for it, and what it is to be told."""
    at = f"{path}@@1M"
    subprocess.run(["truncate", "--size=96M", path], check=True)
    subprocess.run(["sfdisk", "--quiet", path], input=b"label: gpt\nstart=1MiB, type=uefi\n", check=True)
    for command in (["mformat", "-i", at, "-F", "::"], ["mmd", "-i", at, "::/EFI", BOOT, f"{BOOT}/BOOTX64.EFI.extra.d"],
                    ["mcopy", "-i", at, uki, f"{BOOT}/BOOTX64.EFI"],
                    ["mcopy", "-i", at, credential, f"{BOOT}/BOOTX64.EFI.extra.d/farm.cred"]):
        subprocess.run(command, check=True)


def joins(lab, report, what, media):
    """The node on MEDIA tells its farm's name, on the hub that the farm document names."""
    with report.case(f"{what}: boots and is on its farm's hub"), Node(media=media) as node:
        node.wait_line(r"is up, (\d+) services", 150)
        record = lab.wait_nodes()[0]
        assert record["farm_name"] == "demo" and record["flavour"] == "cloud", record


def main():
    report = Report("make node T=media")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        write_stick(f"{lab.dir}/stick.img", "build/image/cloud/zos.efi", f"{lab.config}/farm.json")
        joins(lab, report, "USB stick", f"{lab.dir}/stick.img")
    return report.end()


sys.exit(main())
