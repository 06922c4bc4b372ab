"""A machine with a TPM, and images whose builder signs what it will measure."""
import contextlib, os, shutil, subprocess

from firmware import key_make, run, variables_make
from lab import Failed, until, wait_for
from qemu import OVMF, Node

IMAGE = "build/image/cloud"


class Place:
    """One machine: its disks, its TPM, its firmware's variables, with Secure Boot's keys and without."""

    def __init__(self, lab, disks=1, name="place"):
        self.lab, self.dir, self.node = lab, f"{lab.dir}/{name}", None
        os.makedirs(self.dir)
        self.disks = [f"{self.dir}/disk{i}" for i in range(disks)]
        for path in self.disks:
            with open(path, "wb") as f:
                f.truncate(2 << 30)
        self.plain = shutil.copyfile(f"{OVMF}_VARS_4M.fd", f"{self.dir}/plain")
        key_make(self.dir)
        key_make(self.dir, "other", "whom the firmware believes, too")
        self.enrolled = variables_make(self.dir, "other")
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
    def machine(self, medium, secure=True, tpm="tpm", drives=(), extra=()):
        """What starts from MEDIUM, not up yet. EXTRA: more arguments of QEMU."""
        os.makedirs(f"{self.dir}/{tpm}", exist_ok=True)
        control = f"{self.dir}/{tpm}.sock"
        chip = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir}/{tpm}", "--ctrl", f"type=unixio,path={control}",
                                 "--terminate", "--log", f"file={self.dir}/{tpm}.log,level=20"], stderr=subprocess.DEVNULL)
        until("the TPM is there", lambda: os.path.exists(control))
        try:
            yield Node(media=medium, memory_mib=2048, uefi=self.enrolled if secure else self.plain, secure=True, drives=drives,
                       extra=["-chardev", f"socket,id=tpm,path={control}", "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm", *extra])
        finally:
            chip.terminate()
            chip.wait()

    @contextlib.contextmanager
    def up(self, medium, more=(), **how):
        """The key of the node, while it runs, with its disks and MORE."""
        with self.machine(medium, drives=[*self.disks, *more], **how) as node, self.lab.newcomer(node) as (self.node, record):
            yield record["node"]

    def boot(self, medium, state, **how):
        """The first disk, once it is in STATE, and the node's health."""
        with self.up(medium, **how) as key:
            self.lab.zos("farm", "approve", key)
            return self.wait(key, state), self.lab.zos_json("node", "health", key)

    def wait(self, key, state, serial="disk0"):
        """The disk, once it is in STATE."""
        return wait_for(f"{serial} is {state}", lambda: self.look(key, serial), lambda disk: disk["state"] == state)

    def recover(self, serial, key):
        """The farm's order. A disk that is shut is tried again now and then, and cannot be recovered just then."""
        def is_done():
            try:
                self.lab.zos("node", "disks", "recover", serial, key)
                return True
            except Failed as e:
                if "ask again in a moment" not in str(e):
                    raise
                return False
        until(f"{serial} is recovered", is_done)

    def wait_back(self, key):
        """The first disk, once it has made its node who it was: KEY."""
        def is_back():
            try:
                return self.look(key)["state"] == "ready"
            except Failed:
                return False
        until("the node is back", is_back)
        return self.look(key)

    def look(self, key, serial="disk0"):
        return next(d for d in self.lab.zos_json("node", "disks", key)["disks"] if d["serial"] == serial)
