#!/usr/bin/python3
"""Debian's disk image as a virtual machine on a node (nested KVM): booted, told by cloud-init, with a volume and a zmount, reached, filled up, paused,
switched off."""
import json, os, re, secrets, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import debian
from disks import DiskOwner
from lab import ZOS, until
from owner import on_a_node
from qemu import Report
from storage import volume

BOOT_SECONDS = 300  # one kernel, systemd and cloud-init's python in an emulator in an emulator
ROOM = 48 << 20
DRIVE_BYTES = 2 << 30
FILES, RAW = volume("files", "100MiB"), {"name": "raw", "type": "zmount", "data": {"size": "100MiB"}}
# the volume by its tag, the zmount by its serial number; what is read back comes from the disk
MOUNT = ("mkdir /files /raw && mount -t virtiofs files /files && mount /dev/disk/by-id/virtio-raw /raw && cp /srv/nonce /files/word && cp /srv/nonce /raw/word && "
         "umount /raw && mount -r /dev/disk/by-id/virtio-raw /raw && cat /files/word /raw/word > /srv/words; umount /files /raw")
# writes past the file systems, where nothing is harmed, until there is no room; then gives all of it back
FILL = f"""#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
dd if=/dev/zero of=/dev/vda bs=1M seek={debian.FREE_AT >> 20} count={debian.FREE_SIZE >> 20} oflag=direct 2>&1 | grep -o 'error writing.*'
blkdiscard -f -o {debian.FREE_AT} -l {debian.FREE_SIZE} /dev/vda && echo given back
"""


def user_data(nonce):
    page = f"echo $(cat /srv/nonce) $(cat /proc/sys/kernel/random/boot_id) $(hostname) > /srv/index.html; busybox httpd -p 80 -h /srv"
    return "#cloud-config\n" + json.dumps({
        "write_files": [{"path": "/srv/nonce", "content": nonce},
                        {"path": "/srv/cgi-bin/fill", "content": FILL, "permissions": "0755"}],
        "runcmd": [["sh", "-c", MOUNT], ["sh", "-c", page]]})


class DebianOwner(DiskOwner):
    def __init__(self, lab, registry, node):
        super().__init__(lab, registry, node)
        self.nonce = secrets.token_hex(8)
        self.push("debian", {debian.disk(): "debian.qcow2"})

    def page(self, seconds=60):
        return self.lab.fetch("deb", seconds=seconds).split()


def runs(o, report):
    with report.case("a Debian disk image boots, and its cloud-init did what user_data says"):
        os.environ["SEED"] = user_data(o.nonce)
        until("there is room for a volume", lambda: o.lab.zos_json("node", "info")["capacity"]["hdd"] > DRIVE_BYTES // 4, 120)
        o.deploy_disk("deb", "debian", FILES, RAW, mounts=[{"name": "files"}, {"name": "raw"}], rootfs_size=ROOM, user_data={"secret": "seed"}, health={"tcp": 80, "timeout": 30, "failures": 1000})
        o.wait("deb", "running", lambda s: s["state"] in ("ok", "degraded"), BOOT_SECONDS)
        nonce, boot_id, hostname = o.page(BOOT_SECONDS)
        assert nonce == o.nonce and hostname == "deb" and re.fullmatch(r"[0-9a-f-]{36}", boot_id), (nonce, boot_id, hostname)
        status = o.wait("deb", "well", lambda s: s["state"] == "ok")
        assert status["isolation"] == "vm" and not status["restarts"], status
        o.wait_log("deb", "Cloud-init")
    with report.case("it finds its volume by its tag and its zmount by its serial number, and what it wrote to both is there"):
        assert o.lab.fetch("deb", path="words") == o.nonce * 2
        assert o.node.shell("find /zos/disks -name word -exec cat {} +")[0] == o.nonce  # the volume's; into a zmount nobody looks
    with report.case("what its owner keeps sealed stands nowhere in the document"):
        assert o.nonce not in o.lab.zos("export", "deb")
    with report.case("nothing can be run in it, and that is a sentence"):
        done = subprocess.run([ZOS, "exec", "deb", "--", "true"], capture_output=True, text=True, env=o.lab.environment())
        assert done.returncode == 125 and "boots a disk image" in done.stderr, done
    with report.case("QEMU is shut in as with any machine, and has the owner's file for reading alone"):
        pid, _ = o.node.shell("pidof qemu-system-x86_64")
        status = dict(re.findall(r"^(\w+):\s*(.*)$", o.node.shell(f"cat /proc/{pid}/status")[0], re.M))
        assert status["Uid"].split() == ["904"] * 4 and status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status
        assert all(int(status[c], 16) == 0 for c in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")), status
        text, _ = o.node.shell(f"cd /proc/{pid}/fd; for f in *; do echo $(readlink $f) $(grep flags ../fdinfo/$f); done | grep debian.qcow2")
        assert text.split()[2][-1] == "0", text  # O_RDONLY
        assert len(o.node.shell(f"tail -n +3 /proc/{pid}/net/dev | cut -d: -f1")[0].split()) == 1


def fills_up(o, report):
    with report.case("what it writes past rootfs_size is an error in it, its owner is told, and what it gives back is free again"):
        said = o.lab.fetch("deb", path="cgi-bin/fill", seconds=120)
        assert "error writing" in said and "given back" in said, said
        assert "give it more with 'rootfs_size'" in o.wait_log("deb", "has written more than its 48 MiB"), o.status("deb")
        assert "given back" in o.lab.fetch("deb", path="cgi-bin/fill", seconds=120)
        # its memory, what QEMU takes, what serves its volume
        limit, peak = o.node.shell("cat /sys/fs/cgroup/zos/machines/*/box/memory.max /sys/fs/cgroup/zos/machines/*/box/memory.peak")[0].split()
        assert int(limit) == (512 + 64 + 64) << 20 and int(peak) <= int(limit), (limit, peak)


def wishes(o, report):
    with report.case("paused and resumed it is the same system; switched off by its power button it ends with 0"):
        before = o.page()
        o.lab.zos("pause", "deb")
        o.wait("deb", "paused", lambda s: s["state"] == "paused")
        o.lab.zos("resume", "deb")
        assert o.page() == before
        o.lab.zos("stop", "deb")
        status = o.wait("deb", "stopped", lambda s: s["state"] == "stopped")
        assert status["exit"] == 0, (status, o.log("deb")[-2000:])


def main():
    report = Report("make node T=disk")
    debian.disk()
    with tempfile.NamedTemporaryFile() as drive:
        drive.truncate(DRIVE_BYTES)
        with on_a_node(DebianOwner, drives=[drive.name]) as o:
            runs(o, report)
            fills_up(o, report)
            wishes(o, report)
            o.lab.zos("delete", "deb")
    return report.end()


sys.exit(main())
