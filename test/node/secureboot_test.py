#!/usr/bin/python3
"""Under Secure Boot a machine that knows the builder's certificate starts the image that bears the builder's signature, and no other; the farm
document comes beside it as ever."""
import os, shutil, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from firmware import key_make, run, variables_make
from lab import Lab
from qemu import Node, Report

UKI = "build/image/cloud/zos.efi"  # the debug flavour has no signed modules, and does not start so


def main():
    report = Report("make node T=secureboot")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        with report.case("a copy of the image is signed"):
            key_make(lab.dir)
            signed = shutil.copyfile(UKI, f"{lab.dir}/zos.efi")
            run("os/sign-image", f"{lab.dir}/db.key", f"{lab.dir}/db.crt", signed)
        variables = variables_make(lab.dir)
        lab.zos("farm", "media", signed, f"{lab.dir}/signed.img")
        lab.zos("farm", "media", UKI, f"{lab.dir}/unsigned.img")
        with report.case("signed: boots with Secure Boot on, and brings its farm document"):
            with lab.newcomer(Node(media=f"{lab.dir}/signed.img", memory_mib=2048, uefi=variables, secure=True)) as (_, record):
                assert record["flavour"] == "cloud", record
        with report.case("unsigned: the same firmware, with the same keys, refuses it"):
            with Node(media=f"{lab.dir}/unsigned.img", memory_mib=2048, uefi=variables, secure=True) as node:
                node.wait_line("Access Denied", 120)
    return report.end()


sys.exit(main())
