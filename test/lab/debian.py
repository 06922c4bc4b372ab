"""A disk image with Debian on it, made from the archive: systemd, the cloud kernel and the real cloud-init, started by SeaBIOS and syslinux.

    oci = debian.build("build/tmp")    # an OCI layout in the directory, tag `latest`, with the image below /disk

The disk is made once and kept in build/cache under the digest of its recipe. Runs inside tools/enter. What a test does not look at and that takes
long in an emulator in an emulator is left out of the image or switched off; cloud-init is asked for the modules that the test uses.
"""
import glob, hashlib, os, shutil, tempfile

from workload import CACHE, SUITE, kept, run

PACKAGES = ["systemd-sysv", "udev", "cloud-init", "linux-image-cloud-amd64", "initramfs-tools", "zstd", "iproute2", "netbase", "busybox-static", "dbus",
            "syslinux", "syslinux-common", "e2fsprogs"]
WITHOUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/i18n/*", "/usr/share/zoneinfo/*",
           "/usr/lib/x86_64-linux-gnu/gconv/*", "/usr/lib/udev/hwdb.d/*", "/usr/share/cloud/*"]
# after the packages have been set up, from the tree: what it was made with, and what only installing more would need
DROPPED = ["boot/initrd*", "boot/vmlinuz*", "usr/lib/syslinux", "usr/lib/x86_64-linux-gnu/perl-base", "usr/bin/perl*", "usr/lib/modules/*/kernel/drivers/[!abcinv]*",
           "usr/lib/modules/*/kernel/sound", "usr/lib/modules/*/kernel/net/[!cnp]*", "var/lib/apt/*", "var/cache/*", "var/lib/dpkg/info", "var/log/*"]
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
          "systemd-tmpfiles-clean.timer", "getty@tty1.service", "serial-getty@ttyS0.service", "cloud-init-hotplugd.socket", "systemd-pstore.service",
          "systemd-binfmt.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service", "ldconfig.service",
          "systemd-update-done.service", "systemd-networkd-persistent-storage.service", "systemd-networkd-wait-online.service"]
FILES = {
    "etc/fstab": "",
    "etc/machine-id": "uninitialized\n",
    "etc/systemd/journald.conf.d/volatile.conf": "[Journal]\nStorage=volatile\n",
    "etc/cloud/cloud.cfg.d/90-test.cfg": "datasource_list: [NoCloud]\ncloud_init_modules: [write_files, set_hostname]\n"
                                         "cloud_config_modules: [runcmd]\ncloud_final_modules: [scripts_user]\n",
}
BEFORE = {  # for the initrd: one driver is not in the kernel
    "etc/initramfs-tools/conf.d/small": "MODULES=list\nCOMPRESS=zstd\n",
    "usr/share/initramfs-tools/modules.d/disk": "virtio_blk\n",
}
BOOT = "DEFAULT linux\nSERIAL 0\nLABEL linux\n  LINUX vmlinuz\n  INITRD initrd\n  APPEND root=/dev/vda2 rw console=ttyS0 quiet loglevel=4 cryptomgr.notests\n"
MIB = 1 << 20
FAT_AT, FAT_SIZE, ROOT_AT, ROOT_SIZE = 1 * MIB, 48 * MIB, 49 * MIB, 400 * MIB
FREE_AT, FREE_SIZE = ROOT_AT + ROOT_SIZE, 64 * MIB  # what a test may write to without harm


def recipe():
    """The digest that names the disk: of all that goes into it."""
    parts = [SUITE, PACKAGES, WITHOUT, DROPPED, MASKED, FILES, BEFORE, BOOT, FAT_AT, FAT_SIZE, ROOT_AT, ROOT_SIZE, FREE_SIZE]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def write(tree, files):
    for name, text in files.items():
        os.makedirs(os.path.dirname(f"{tree}/{name}"), exist_ok=True)
        with open(f"{tree}/{name}", "w") as f:
            f.write(text)


def make_tree(tree, before):
    write(before, BEFORE)
    run("mmdebstrap", "--quiet", "--variant=minbase", "--aptopt=APT::Install-Recommends=false", *[f"--dpkgopt=path-exclude={p}" for p in WITHOUT],
        "--include=" + ",".join(PACKAGES), f"--essential-hook=copy-in {before}/etc {before}/usr /", SUITE, tree)
    write(tree, FILES)
    for unit in MASKED:
        os.symlink("/dev/null", f"{tree}/etc/systemd/system/{unit}")
    os.makedirs(f"{tree}/etc/systemd/system/multi-user.target.wants", exist_ok=True)
    os.symlink("/usr/lib/systemd/system/systemd-networkd.service", f"{tree}/etc/systemd/system/multi-user.target.wants/systemd-networkd.service")


def make_boot(tree, fat):
    """The file system that syslinux starts from."""
    with open(fat, "wb") as f:
        f.truncate(FAT_SIZE)
    run("mformat", "-i", fat, "-T", str(FAT_SIZE // 512), "-h", "16", "-s", "63", "-H", str(FAT_AT // 512), "::")
    write(os.path.dirname(fat), {"syslinux.cfg": BOOT})
    for path, name in ((glob.glob(f"{tree}/boot/vmlinuz*")[0], "vmlinuz"), (glob.glob(f"{tree}/boot/initrd*")[0], "initrd"),
                       (os.path.dirname(fat) + "/syslinux.cfg", "syslinux.cfg")):
        run("mcopy", "-i", fat, path, f"::{name}")
    run(f"{tree}/usr/bin/syslinux", "--install", fat)


def make_root(tree, ext4):
    for pattern in DROPPED:
        for path in glob.glob(f"{tree}/{pattern}"):
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    run(f"{tree}/usr/sbin/mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, ext4, str(ROOT_SIZE // 1024) + "k",
        env=dict(os.environ, LD_LIBRARY_PATH=f"{tree}/usr/lib/x86_64-linux-gnu"))


def make_disk(path):
    with tempfile.TemporaryDirectory(prefix="zos-debian-", dir=CACHE) as work:
        tree, raw = f"{work}/tree", f"{work}/raw"
        make_tree(tree, f"{work}/before")
        with open(f"{tree}/usr/lib/syslinux/mbr/mbr.bin", "rb") as f:
            mbr = f.read()
        make_boot(tree, f"{work}/fat")
        make_root(tree, f"{work}/ext4")
        with open(raw, "wb") as f:
            f.truncate(FREE_AT + FREE_SIZE)
        run("sfdisk", "--quiet", raw, input=f"label: dos\nstart={FAT_AT // 512}, size={FAT_SIZE // 512}, type=6, bootable\n"
                                            f"start={ROOT_AT // 512}, size={ROOT_SIZE // 512}, type=83\n")
        with open(raw, "r+b") as f:
            f.write(mbr)
        for part, at in ((f"{work}/fat", FAT_AT), (f"{work}/ext4", ROOT_AT)):
            run("dd", f"if={part}", f"of={raw}", "bs=1M", f"seek={at // MIB}", "conv=notrunc,sparse", "status=none")
        run("qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", raw, f"{work}/qcow2")
        os.rename(f"{work}/qcow2", path)


def disk():
    """The path of the disk, a qcow2."""
    return kept(f"debian-{recipe()}.qcow2", make_disk)


def layout(oci, disks):
    """An OCI layout at OCI of an image with these files (path -> name) below /disk."""
    run("umoci", "init", "--layout", oci)
    run("umoci", "new", "--image", f"{oci}:latest")
    with tempfile.TemporaryDirectory(dir=os.path.dirname(oci)) as folder:
        os.chmod(folder, 0o755)
        for path, name in disks.items():
            shutil.copyfile(path, f"{folder}/{name}")
        run("umoci", "insert", "--image", f"{oci}:latest", folder, "/disk")
    run("umoci", "gc", "--layout", oci)
    return oci


def build(into):
    return layout(f"{into}/debian", {disk(): "debian.qcow2"})
