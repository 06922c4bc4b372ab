#!/usr/bin/python3
"""With a TPM the key of a disk is the TPM's: it gives it to images of the same builder on this machine, with its firmware as it was, and to nobody else."""
import os, shutil, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from firmware import key_make, run, variables_make
from lab import Lab, until
from qemu import OVMF, Node, Report

IMAGE = "build/image/cloud"


class Place:
    """One machine: its disk, its TPM, its firmware's variables."""

    def __init__(self, lab):
        self.lab, self.dir = lab, lab.dir
        self.disk = f"{self.dir}/disk"
        with open(self.disk, "wb") as f:
            f.truncate(2 << 30)
        self.plain = shutil.copyfile(f"{OVMF}_VARS_4M.fd", f"{self.dir}/plain")
        key_make(self.dir)
        self.enrolled = variables_make(self.dir)
        for name in ("builder", "stranger"):
            run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f"{self.dir}/{name}.key")
            run("openssl", "pkey", "-in", f"{self.dir}/{name}.key", "-pubout", "-out", f"{self.dir}/{name}.pem")

    def medium(self, name, key, words=""):
        """The image as KEY's owner builds it; WORDS on its command line make another release of it."""
        uki, medium = f"{self.dir}/{name}.efi", f"{self.dir}/{name}.img"
        cmdline = f"{open('os/cmdline').read().strip()} {words}".strip()
        run("ukify", "build", f"--linux={IMAGE}/vmlinuz", f"--initrd={IMAGE}/initrd.img", f"--cmdline={cmdline}", f"--output={uki}",
            f"--pcr-private-key={self.dir}/{key}.key", f"--pcr-public-key={self.dir}/{key}.pem", "--pcr-banks=sha256", f"--tools={os.getcwd()}/os/measure")
        run("os/sign-image", f"{self.dir}/db.key", f"{self.dir}/db.crt", uki)
        self.lab.zos("farm", "media", uki, medium)
        return medium

    def boot(self, medium, state, variables=None, tpm="tpm"):
        """The disk, once it is in STATE."""
        os.makedirs(f"{self.dir}/{tpm}", exist_ok=True)
        control = f"{self.dir}/{tpm}.sock"
        chip = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir}/{tpm}", "--ctrl", f"type=unixio,path={control}",
                                 "--terminate"], stderr=subprocess.DEVNULL)
        until("the TPM is there", lambda: os.path.exists(control))
        node = Node(media=medium, memory_mib=2048, uefi=variables or self.plain, secure=True, drives=[self.disk],
                    extra=["-chardev", f"socket,id=tpm,path={control}", "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"])
        try:
            with self.lab.newcomer(node) as (_, record):
                key = record["node"]
                self.lab.zos("farm", "approve", key)
                until(f"the disk is {state}", lambda: self.look(key)["state"] == state)
                return self.look(key), self.lab.zos_json("node", "health", key)
        finally:
            chip.terminate()
            chip.wait()

    def look(self, key):
        return next(d for d in self.lab.zos_json("node", "disks", key)["disks"] if d["serial"] == "disk0")


def main():
    report = Report("make node T=seal")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        place = Place(lab)
        first = place.medium("first", "builder")
        with report.case("the key of a new disk is the TPM's, and health has nothing to say about keys"):
            made, health = place.boot(first, "ready")
            assert made["key"] == "tpm" and health["keys_sealed"], (made, health)
        with report.case("another release of the same builder opens it"):
            disk, _ = place.boot(place.medium("next", "builder", "zos.release=2"), "ready")
            assert disk["uuid"] == made["uuid"], disk
        with report.case("an image of another builder does not"):
            disk, _ = place.boot(place.medium("foreign", "stranger"), "failed")
            assert "another builder" in disk["text"], disk
        with report.case("the debug flavour does not"):
            lab.zos("farm", "media", "build/image/debug/zos.efi", f"{lab.dir}/debug.img")
            disk, _ = place.boot(f"{lab.dir}/debug.img", "failed")
            assert "is not signed" in disk["text"], disk
        with report.case("the same image under other Secure Boot keys does not"):
            disk, _ = place.boot(first, "failed", variables=place.enrolled)
            assert "Secure Boot keys" in disk["text"], disk
        with report.case("the same image on another machine does not"):
            disk, _ = place.boot(first, "failed", tpm="other")
            assert "another TPM" in disk["text"], disk
        with report.case("and none of them has changed anything: the first image opens it again"):
            disk, _ = place.boot(first, "ready")
            assert disk["uuid"] == made["uuid"] and disk["key"] == "tpm", disk
        with report.case("once the TPM was cleared nothing opens it, and it is told why and left alone"):
            shutil.rmtree(f"{lab.dir}/tpm")
            disk, health = place.boot(first, "failed")
            assert "this one was cleared" in disk["text"] and disk["uuid"] == made["uuid"] and not health["ok"], disk
    return report.end()


sys.exit(main())
