#!/usr/bin/python3
"""A node started over the network, from what `zos farm netboot` writes: by the iPXE in a card's ROM on a BIOS, which gets the script from the
web server itself, and on UEFI by an iPXE that the firmware gets over TFTP. Each is on its farm's hub then. ALL runs what `make test` samples."""
import contextlib, functools, http.server, os, shutil, subprocess, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import GUEST_SEES_HOST, Lab, refused, sample
from qemu import Node, Report

UKI = "build/image/{}/zos.efi"
IPXE = "/usr/lib/ipxe/snponly.efi"
NET = "user,ipv4=on,ipv6=on"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def web_server(folder):
    """Serves FOLDER on loopback. Yields its address as a node sees it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{GUEST_SEES_HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def joins(lab, report, name, flavour, **more):
    with report.case(f"{name}: {flavour} boots, the node is on its farm's hub"):
        with lab.newcomer(Node(memory_mib=2048, **more)) as (_, record):
            assert record["flavour"] == flavour, record


def writes(lab, report, folder):
    with report.case("files for a web server are written, the same bytes as the image's"):
        done = lab.zos_json("farm", "netboot", UKI.format("cloud"), folder)
        assert done == {"dir": folder, "script": "boot.ipxe", "farm": "demo", "flavour": "cloud"}, done
        for name in ("vmlinuz", "initrd.img"):
            assert open(f"{folder}/{name}", "rb").read() == open(f"build/image/cloud/{name}", "rb").read(), name
        lab.zos("farm", "netboot", UKI.format("cloud"), folder, "--force", "--uplink", "eth0,vlan=7")
        names = subprocess.run(["cpio", "-t", "--quiet"], stdin=open(f"{folder}/farm.cpio", "rb"), capture_output=True, text=True, check=True).stdout.split()
        assert names == [".extra", ".extra/credentials", ".extra/credentials/farm.cred", ".extra/credentials/uplink.cred"], names
        lab.zos("farm", "netboot", UKI.format("cloud"), folder, "--force")
        assert b"uplink.cred" not in open(f"{folder}/farm.cpio", "rb").read()
        assert open("os/cmdline").read().strip() in open(f"{folder}/boot.ipxe").read()
    with report.case("what is there stays, unless --force says otherwise; no other address than a web server's"):
        for words, args in (("--force writes over it", []), ("no address of a web server", ["--url", "tftp://x"]),
                            ("no address of a web server", ["--url", "http://x/${net0/mac}"]), ("no EFI program", ["os/cmdline"])):
            uki, more = (args[0], ["--force"]) if args and args[0] == "os/cmdline" else (UKI.format("cloud"), args)
            with refused(words):
                lab.zos("farm", "netboot", uki, folder, *more)
        lab.zos("farm", "netboot", UKI.format("cloud"), folder, "--force")


def bios(lab, report, folder, card, flavour):
    lab.zos("farm", "netboot", UKI.format(flavour), folder, "--force")
    with web_server(folder) as url:
        joins(lab, report, f"BIOS, iPXE in the ROM of the card, {card}", flavour, netboot="bios", card=card, net=f"{NET},bootfile={url}/boot.ipxe")


def uefi(lab, report, folder, card, flavour):
    tftp = f"{lab.dir}/tftp"
    os.mkdir(tftp)
    shutil.copyfile(IPXE, f"{tftp}/snponly.efi")
    with web_server(folder) as url:
        lab.zos("farm", "netboot", UKI.format(flavour), folder, "--url", url, "--force")
        shutil.copyfile(f"{folder}/boot.ipxe", f"{tftp}/autoexec.ipxe")
        joins(lab, report, f"UEFI, iPXE by TFTP, {card}", flavour, netboot="uefi", card=card, net=f"{NET},tftp={tftp},bootfile=snponly.efi")


WAYS = [(bios, "e1000e", "metal"), (bios, "virtio-net-pci", "cloud"), (uefi, "virtio-net-pci", "cloud")]


def main():
    report = Report("make node T=netboot")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        folder = f"{lab.dir}/web"
        writes(lab, report, folder)
        for way, card, flavour in sample(WAYS):
            way(lab, report, folder, card, flavour)
    return report.end()


sys.exit(main())
