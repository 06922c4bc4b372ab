#!/usr/bin/python3
"""Disk images as virtual machines on a node (nested KVM): Debian, booted, told by cloud-init, with a volume and a zmount, reached, filled up, paused,
switched off; and a raw disk that restarts itself, and is restarted."""
import json, os, re, secrets, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import debian, workload
from lab import GUEST_SEES_HOST, ZOS, refused, until
from owner import Owner, on_a_node
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


class DiskOwner(Owner):
    def __init__(self, lab, registry, node):
        self.lab, self.node, self.nonce = lab, node, secrets.token_hex(8)
        self.images = {}
        for name, disks in {"debian": {debian.disk(): "debian.qcow2"}, "raw": {self.raw(): "disk.img"}, **self.bad()}.items():
            registry.push(debian.layout(f"{lab.dir}/{name}", disks), name, "1")
            self.images[name] = f"{registry.host(GUEST_SEES_HOST)}/{name}:1"

    def raw(self):
        """A disk of two sectors and room: bootsector.S, and where it counts."""
        at = f"{self.lab.dir}/raw.img"
        workload.run("as", "--32", "-o", f"{at}.o", "test/node/bootsector.S")
        workload.run("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", at, f"{at}.o")
        os.truncate(at, 1 << 20)
        return at

    def bad(self):
        """Images that a node must not take: what is wrong with each is told by its name."""
        at = f"{self.lab.dir}/bad"
        os.makedirs(at)
        workload.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-u", "-b", "/etc/passwd", f"{at}/backed", "1G")
        workload.run("qemu-img", "create", "-q", "-f", "qcow2", f"{at}/empty", "1G")
        return {"backed": {f"{at}/backed": "disk.qcow2"}, "two": {f"{at}/empty": "a.qcow2", f"{at}/backed": "b.qcow2"}}

    def deploy_disk(self, name, image, *others, **data):
        doc = {"image": self.images[image], "boot": "disk", "cpu": 2, "memory": "512MiB", **data}
        with open(f"{self.lab.dir}/{name}.json", "w") as f:
            json.dump({"name": name, "secrets": {"seed": {"env": "SEED"}} if "user_data" in data else {},
                       "workloads": [{"name": name, "type": "zmachine", "data": doc}, *others]}, f)
        self.lab.zos("deploy", f.name, "--no-wait")

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


def restarts(o, report):
    # the firmware's dots come in between, anywhere
    starts = lambda: re.findall(r"startnumber(\d)", re.sub(r"(?m)^\S+ stdout |[.\s]", "", o.log("raw")))
    with report.case("a raw disk image boots; when it restarts itself it is the same machine, with what it has written"):
        o.lab.zos("run", o.images["raw"], "--name", "raw", "--disk", "--memory", "256MiB", "--no-wait")
        until("it has started twice", lambda: len(starts()) == 2)
        status = o.wait("raw", "running", lambda s: s["state"] == "ok")
        assert starts() == ["1", "2"] and not status["restarts"], (starts(), status)
    with report.case("restarted by its owner it begins anew, with the disk of the image"):
        o.lab.zos("restart", "raw")
        until("it has started twice more", lambda: len(starts()) == 4)
        o.wait("raw", "running again", lambda s: s["state"] == "ok")
        assert starts() == ["1", "2", "1", "2"], starts()
        o.lab.zos("delete", "raw")


def refusals(o, report):
    with open(f"{o.lab.dir}/user-data", "w") as f:
        f.write("#cloud-config\n")
    for name, why in (("backed", "names another file"), ("two", "has to hold one file")):
        with report.case(f"an image whose disk is {name} is not started, and told"):
            o.lab.zos("run", o.images[name], "--name", name, "--disk", "--user-data", f.name, "--memory", "512MiB", "--no-wait")
            data = json.loads(o.lab.zos("export", name))["workloads"][0]["data"]
            assert data["boot"] == "disk" and data["user_data"] == "#cloud-config\n", data
            status = o.wait(name, "told", lambda s: why in s.get("message", ""))
            assert status["state"] == "retrying", status
            assert o.node.shell("pidof qemu-system-x86_64")[1] != 0, "nothing runs"
            o.lab.zos("delete", name)
    with report.case("what means nothing for a disk image is refused with its path"):
        with refused("/workloads/0/data/args: a disk image decides this by itself"):
            o.deploy_disk("bad", "debian", args=["x"])


def main():
    report = Report("make node T=disk")
    debian.disk()
    with tempfile.NamedTemporaryFile() as drive:
        drive.truncate(DRIVE_BYTES)
        with on_a_node(DiskOwner, drives=[drive.name]) as o:
            runs(o, report)
            fills_up(o, report)
            wishes(o, report)
            o.lab.zos("delete", "deb")
            restarts(o, report)
            refusals(o, report)
    return report.end()


sys.exit(main())
