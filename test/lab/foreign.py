"""A system that is not ours, on the machine of a node, with all that is public: what the disk's header says, and image, builder's key and signature, which lie on
any boot medium. Its program is test/node/foreign.sh; kernel and tools are Debian's, its loader is systemd-boot, which leaves PCR 11 alone."""
import base64, hashlib, json, os, re, shutil, subprocess, tarfile

import pefile
from firmware import run
from qemu import archive

IMAGE = "build/image/cloud"
LOADER = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"
PROGRAMS = ("/usr/bin/tpm2", "/usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0")  # the library is asked for by its name at run time
# the order in which systemd's stub measures them: name, then content
SECTIONS = (".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey")
PCR_11 = bytes.fromhex("0000017f" "00000001" "000b" "03" "000800")  # PolicyPCR, of sha256, 11 (TPM 2.0, part 3)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def sections(uki):
    with pefile.PE(uki, fast_load=True) as pe:
        return {s.Name.rstrip(b"\0").decode(): s.get_data(length=s.Misc_VirtualSize) for s in pe.sections}


def sealed(disk):
    """The two parts of what the TPM sealed, as the header of DISK has them."""
    done = subprocess.run(["cryptsetup", "luksDump", "--dump-json-metadata", disk], capture_output=True, text=True, check=True)
    token = next(t for t in json.loads(done.stdout)["tokens"].values() if t["type"] == "zos")
    both = base64.b64decode(token["sealed"])
    public = 2 + int.from_bytes(both[:2])
    return both[:public], both[public:]


class Foreign:
    """All of it as a tree in FOLDER: against DISK, whose key was sealed for what BUILDER.pem signed, one of which is the image UKI."""

    def __init__(self, folder, disk, uki, builder):
        self.dir = folder
        self.tree = f"{folder}/tree"
        for name in ("bin", "dev", "public", "usr/lib/x86_64-linux-gnu", "lib64"):
            os.makedirs(f"{self.tree}/{name}")
        self.programs_put()
        found = sections(uki)
        signed = json.loads(found[".pcrsig"].rstrip(b"\0"))["sha256"][0]
        measured = [sha256(part) for name in SECTIONS if name in found for part in (name.encode() + b"\0", found[name])]
        pcr = bytes(32)
        for digest in measured:
            pcr = sha256(pcr, digest)
        assert sha256(bytes(32), PCR_11, sha256(pcr)).hex() == signed["pol"], "this is not what the stub measures"
        public, private = sealed(disk)
        for name, data in (("sealed.pub", public), ("sealed.priv", private), ("builder.pem", open(builder, "rb").read()),
                           ("policy", bytes.fromhex(signed["pol"])), ("signature", base64.b64decode(signed["sig"])),
                           ("measured", "".join(f"{d.hex()}\n" for d in measured).encode())):
            with open(f"{self.tree}/public/{name}", "wb") as f:
                f.write(data)

    def programs_put(self):
        shutil.copy("/usr/bin/busybox", f"{self.tree}/bin")
        for name in ("base64", "grep", "mount", "sleep", "tail"):
            os.symlink("busybox", f"{self.tree}/bin/{name}")
        shutil.copy("test/node/foreign.sh", f"{self.tree}/init")
        os.chmod(f"{self.tree}/init", 0o755)
        libraries = {p for program in PROGRAMS for p in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout)}
        for path in libraries | {PROGRAMS[1]}:
            shutil.copy(path, f"{self.tree}/lib64" if "ld-linux" in path else f"{self.tree}/usr/lib/x86_64-linux-gnu")
        shutil.copy(PROGRAMS[0], f"{self.tree}/bin")

    def names(self):
        """Of all that is in the tree, folders first."""
        return [os.path.relpath(f"{at}/{name}", self.tree) for at, folders, files in os.walk(self.tree) for name in folders + files]

    def drive(self):
        """The tree as a disk that carries an archive, for who runs it from another system: root there does `tar x`."""
        with tarfile.open(f"{self.dir}/tree.tar", "w") as tar:
            for name in self.names():
                tar.add(f"{self.tree}/{name}", name, recursive=False)
        return f"{self.dir}/tree.tar"

    def initrd(self):
        path = f"{self.dir}/initrd"
        with open(path, "wb") as f:
            f.write(archive(self.tree, self.names()))
        return path

    def medium(self, name, signer=None):
        """What a machine starts it from: loader and kernel by themselves, so that nothing is in PCR 11 yet. SIGNER: whose key and certificate both bear."""
        files = {"EFI/BOOT/BOOTX64.EFI": self.signed(LOADER, signer), "linux": self.signed(f"{IMAGE}/vmlinuz", signer), "initrd": self.initrd()}
        for path, text in (("loader/loader.conf", "timeout 0\n"),
                           ("loader/entries/foreign.conf", "title foreign\nlinux /linux\ninitrd /initrd\noptions console=ttyS0 quiet\n")):
            files[path] = f"{self.dir}/{os.path.basename(path)}"
            with open(files[path], "w") as f:
                f.write(text)
        return self.fat(name, files)

    def uki(self, name, signer):
        """The same system as one EFI program, which the stub measures as it does ours."""
        uki = f"{self.dir}/{name}.efi"
        run("ukify", "build", f"--linux={IMAGE}/vmlinuz", f"--initrd={self.initrd()}", "--cmdline=console=ttyS0 quiet", f"--output={uki}")
        return self.fat(name, {"EFI/BOOT/BOOTX64.EFI": self.signed(uki, signer)})

    def signed(self, path, signer):
        if not signer:
            return path
        copy = shutil.copy(path, f"{self.dir}/signed-{os.path.basename(path)}")
        run("os/sign-image", f"{signer}.key", f"{signer}.crt", copy)
        return copy

    def fat(self, name, files):
        medium = f"{self.dir}/{name}.img"
        run("mkfs.vfat", "-C", medium, str(96 << 10))
        folders = sorted({"/".join(path.split("/")[:n]) for path in files for n in range(1, path.count("/") + 1)})
        run("mmd", "-i", medium, *folders)
        for path, source in files.items():
            run("mcopy", "-i", medium, source, f"::/{path}")
        return medium


def said(text):
    """What the TPM said to each step, and the key, None where it kept that."""
    steps = dict(re.findall(r"^foreign: (\w+): (.*)$", text, re.M))
    key = re.search(r"^foreign: the key is (\S+)$", text, re.M)
    return steps, key and base64.b64decode(key[1])
