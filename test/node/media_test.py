#!/usr/bin/python3
"""Boot media as `zos farm media` writes them: under UEFI, from a USB stick, a CD, an NVMe and a SATA disk, a node starts and is on its farm's
hub. ALL runs what `make test` samples."""
import os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Lab, refused, sample
from qemu import Node, Report

UKI = "build/image/{}/zos.efi"
# media of each flavour: a name, what it lies on, the model of the network card
CLOUD = [("stick.img", "USB", "virtio-net-pci"), ("disc.iso", "CD", "virtio-net-pci")]
METAL = [("stick.img", "USB", "virtio-net-pci"), ("disk.img", "NVMe", "e1000e"), ("disk.img", "AHCI", "e1000e"), ("disc.iso", "CD", "e1000e")]


def joins(lab, report, flavour, name, **more):
    """The node on medium NAME tells its farm's name, on the hub that the farm document names."""
    media = f"{lab.dir}/{flavour}-{name}"
    with report.case(f"{flavour}: {name} is written"):
        done = lab.zos_json("farm", "media", UKI.format(flavour), media, "--force")
        assert done == {"file": media, "farm": "demo", "flavour": flavour, "bytes": os.path.getsize(media)}, done
    where = "".join(f", {what}" for what in more.values())
    with report.case(f"{flavour}: {name} boots{where}, the node is on its farm's hub"):
        with lab.newcomer(Node(media=media, memory_mib=2048, **more)) as (_, record):
            assert record["flavour"] == flavour, record


def refusals(lab, report):
    uki, there = UKI.format("cloud"), f"{lab.dir}/there.img"
    with report.case("what is there stays, unless --force says otherwise"):
        with open(there, "wb") as f:
            f.write(b"precious")
        with refused("--force writes over it"):
            lab.zos("farm", "media", uki, there)
        assert open(there, "rb").read() == b"precious"
        lab.zos("farm", "media", uki, there, "--force")
        subprocess.run(["sfdisk", "--quiet", "--verify", there], check=True)
    with report.case("what is no EFI program, no file and no place is refused, and leaves nothing"):
        with refused("is no EFI program"):
            lab.zos("farm", "media", "os/cmdline", f"{lab.dir}/new.img")
        with refused("open nowhere.efi"):
            lab.zos("farm", "media", "nowhere.efi", f"{lab.dir}/new.img")
        with refused("neither a file nor a disk"):
            lab.zos("farm", "media", uki, lab.dir, "--force")
        assert not os.path.exists(f"{lab.dir}/new.img") and not [n for n in os.listdir("/tmp") if n.startswith("zos-media-")]


def uplinks(lab, report):
    uki, medium = UKI.format("cloud"), f"{lab.dir}/uplinks.img"
    read = lambda: subprocess.run(["mtype", "-i", f"{medium}@@1M", "::/EFI/BOOT/BOOTX64.EFI.extra.d/uplink.cred"], capture_output=True, text=True)
    with report.case("words about uplinks lie beside the farm document; what a node would refuse is refused here; without any there is no file"):
        lab.zos("farm", "media", uki, medium, "--uplink", "eth0,address=192.0.2.10/24,router=192.0.2.1", "--uplink", "eth1,vlan=7", "--dns", "192.0.2.53")
        assert read().stdout == "zos.uplink=eth0,address=192.0.2.10/24,router=192.0.2.1\nzos.uplink=eth1,vlan=7\nzos.dns=192.0.2.53\n", read()
        for words, args in (("several cards are a bond", ["--uplink", "eth0+eth1"]), ("is another uplink's already", ["--uplink", "eth0", "--uplink", "eth0"]),
                            ("without spaces", ["--uplink", "eth0 eth1"]), ("is no address of a name server", ["--dns", "one.example.org"])):
            with refused(words):
                lab.zos("farm", "media", uki, medium, "--force", *args)
        lab.zos("farm", "media", uki, medium, "--force")
        assert read().returncode, read()


def main():
    report = Report("make node T=media")
    with Lab() as lab:
        lab.start_hub()
        with report.case("without a farm there is nothing to write"):
            with refused("zos farm init"):
                lab.zos("farm", "media", UKI.format("cloud"), f"{lab.dir}/new.img")
        lab.make_farm()
        refusals(lab, report)
        uplinks(lab, report)
        for flavour, rows in (("cloud", CLOUD), ("metal", METAL)):
            for name, on, card in sample(rows):
                joins(lab, report, flavour, name, media_on=on, card=card)
        with report.case("of a medium with a shell, whoever writes it is told"):
            done = lab.run("farm", "media", UKI.format("debug"), f"{lab.dir}/debug.img")
            assert done.returncode == 0 and "debug flavour" in done.stderr and "is root" in done.stderr, done
            done = lab.run("farm", "media", UKI.format("cloud"), f"{lab.dir}/cloud.img")
            assert done.returncode == 0 and "debug" not in done.stderr, done
    return report.end()


sys.exit(main())
