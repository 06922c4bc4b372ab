#!/usr/bin/python3
"""Boot media as `zos farm media` writes them: under UEFI, from a USB stick and from a CD, a node starts and is on its farm's hub."""
import os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Failed, Lab
from qemu import Node, Report

UKI = "build/image/{}/zos.efi"


def joins(lab, report, flavour, name):
    """The node on medium NAME tells its farm's name, on the hub that the farm document names."""
    media = f"{lab.dir}/{flavour}-{name}"
    with report.case(f"{flavour}: {name} is written"):
        done = lab.zos_json("farm", "media", UKI.format(flavour), media)
        assert done == {"file": media, "farm": "demo", "bytes": os.path.getsize(media)}, done
    known = {n["node"] for n in lab.zos_json("node", "list")}
    with report.case(f"{flavour}: {name} boots, the node is on its farm's hub"), Node(media=media, memory_mib=2048) as node:
        node.wait_line(r"is up, (\d+) services", 200)
        new = [n for n in lab.wait_nodes(len(known) + 1) if n["node"] not in known]
        assert [(n["farm_name"], n["flavour"]) for n in new] == [("demo", flavour)], new


def refused(words, lab, *args):
    try:
        lab.zos("farm", "media", *args)
    except Failed as e:
        assert words in str(e), e
        return
    raise AssertionError(f"'zos farm media {' '.join(args)}' was not refused")


def refusals(lab, report):
    uki, there = UKI.format("cloud"), f"{lab.dir}/there.img"
    with report.case("what is there stays, unless --force says otherwise"):
        with open(there, "wb") as f:
            f.write(b"precious")
        refused("--force writes over it", lab, uki, there)
        assert open(there, "rb").read() == b"precious"
        lab.zos("farm", "media", uki, there, "--force")
        subprocess.run(["sfdisk", "--quiet", "--verify", there], check=True)
    with report.case("what is no EFI program, no file and no place is refused, and leaves nothing"):
        refused("is no EFI program", lab, "os/cmdline", f"{lab.dir}/new.img")
        refused("open nowhere.efi", lab, "nowhere.efi", f"{lab.dir}/new.img")
        refused("neither a file nor a disk", lab, uki, lab.dir, "--force")
        assert not os.path.exists(f"{lab.dir}/new.img") and not [n for n in os.listdir("/tmp") if n.startswith("zos-media-")]


def main():
    report = Report("make node T=media")
    with Lab() as lab:
        lab.start_hub()
        with report.case("without a farm there is nothing to write"):
            refused("zos farm init", lab, UKI.format("cloud"), f"{lab.dir}/new.img")
        lab.make_farm()
        refusals(lab, report)
        joins(lab, report, "cloud", "stick.img")
        joins(lab, report, "cloud", "disc.iso")
        joins(lab, report, "metal", "stick.img")
    return report.end()


sys.exit(main())
