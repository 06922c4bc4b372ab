"""A machine with a TPM, and images whose builder signs what it will measure."""
import contextlib, os, shutil, subprocess

from firmware import key_make, run, variables_make
from lab import until
from qemu import OVMF, Node

IMAGE = "build/image/cloud"


class Place:
    """One machine: its disks, its TPM, its firmware's variables."""

    def __init__(self, lab, disks=1):
        self.lab, self.dir = lab, lab.dir
        self.disks = [f"{self.dir}/disk{i}" for i in range(disks)]
        for path in self.disks:
            with open(path, "wb") as f:
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

    @contextlib.contextmanager
    def up(self, medium, variables=None, tpm="tpm"):
        """The key of the node, while it runs."""
        os.makedirs(f"{self.dir}/{tpm}", exist_ok=True)
        control = f"{self.dir}/{tpm}.sock"
        chip = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir}/{tpm}", "--ctrl", f"type=unixio,path={control}",
                                 "--terminate", "--log", f"file={self.dir}/{tpm}.log,level=20"], stderr=subprocess.DEVNULL)
        until("the TPM is there", lambda: os.path.exists(control))
        node = Node(media=medium, memory_mib=2048, uefi=variables or self.plain, secure=True, drives=self.disks,
                    extra=["-chardev", f"socket,id=tpm,path={control}", "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"])
        try:
            with self.lab.newcomer(node) as (_, record):
                yield record["node"]
        finally:
            chip.terminate()
            chip.wait()

    def boot(self, medium, state, **more):
        """The first disk, once it is in STATE, and the node's health."""
        with self.up(medium, **more) as key:
            self.lab.zos("farm", "approve", key)
            return self.wait(key, state), self.lab.zos_json("node", "health", key)

    def wait(self, key, state, serial="disk0"):
        """The disk, once it is in STATE."""
        until(f"{serial} is {state}", lambda: self.look(key, serial)["state"] == state)
        return self.look(key, serial)

    def look(self, key, serial="disk0"):
        return next(d for d in self.lab.zos_json("node", "disks", key)["disks"] if d["serial"] == serial)
