#!/usr/bin/python3
"""Disks: blank ones become the node's, what carries anything is left as it is, what is ours comes back after whatever happened to it."""
import hashlib, json, os, re, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import terminal
from lab import ZOS, Lab, refused, until
from qemu import Report

MIB = 1 << 20
SIZE = 1100 * MIB
HEADERS_BYTES = 16 * MIB  # what LUKS2 has before the data


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


def write_at(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


# what strangers leave on a disk: how it is made, and what the node calls it
FOREIGN = {
    "ext4": (lambda p: run("mkfs.ext4", "-q", p), "an ext4 file system is on it"),
    "vfat": (lambda p: run("mkfs.vfat", p), "a FAT file system is on it"),
    "lvm": (lambda p: write_at(p, 512, b"LABELONE" + bytes([1] + 7 * [0]) + bytes(4) + b"\x20\0\0\0" + b"LVM2 001"), "is on it"),
    "luks": (lambda p: run("cryptsetup", "luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", p, "-", input="secret"),
             "an encrypted disk (LUKS) that is not ours is on it"),
    "mbr": (lambda p: run("sfdisk", "-q", p, input="label: dos\n,\n"), "a partition table (MBR) is on it"),
    "gpt": (lambda p: run("sfdisk", "-q", p, input="label: gpt\n,\n"), "a partition table (GPT) is on it"),
    "byte-head": (lambda p: write_at(p, 7 * MIB + 13, b"\1"), "data of an unknown kind is on it"),
    "byte-tail": (lambda p: write_at(p, SIZE - 5 * MIB - 3, b"\1"), "data of an unknown kind is on it"),
    "in-the-middle": (lambda p: write_at(p, SIZE // 2, b"\1" * MIB * 8), "data of an unknown kind is on it"),
    "small": (lambda p: os.truncate(p, 512 * MIB), "it is blank and too small"),
}


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Machine:
    """Disks as files, and how they are plugged in."""

    def __init__(self, folder):
        self.folder = folder
        self.blank = {n: self.make(n) for n in ("virtio", "nvme", "sata", "scsi")}
        self.foreign = {n: self.make(n) for n in FOREIGN}
        self.stick = self.make("stick")
        for name, path in self.foreign.items():
            FOREIGN[name][0](path)
        self.digests = {n: digest(p) for n, p in self.foreign.items()}

    def make(self, name):
        path = f"{self.folder}/{name}"
        with open(path, "wb") as f:
            f.truncate(SIZE)
        return path

    def arguments(self):
        args = ["-device", "virtio-scsi-pci,id=scsi", "-device", "ahci,id=ahci"]
        args += ["-drive", f"if=none,format=raw,file={self.blank['virtio']},id=virtio", "-device", "virtio-blk-pci,drive=virtio,serial=virtio"]
        args += ["-drive", f"if=none,format=raw,file={self.blank['nvme']},id=nvme", "-device", "nvme,drive=nvme,serial=nvme"]
        args += ["-drive", f"if=none,format=raw,file={self.blank['sata']},id=sata",
                 "-device", "ide-hd,bus=ahci.0,drive=sata,serial=sata,rotation_rate=7200"]
        for name, path in self.foreign.items():
            args += ["-drive", f"if=none,format=raw,file={path},id={name}",
                     "-device", f"scsi-hd,bus=scsi.0,drive={name},serial={name},rotation_rate=1"]
        args += ["-drive", f"if=none,format=raw,file={self.stick},id=stick", "-device", "qemu-xhci", "-device", "usb-storage,drive=stick,serial=stick,id=stick-usb"]
        return args


def key_slots(path):
    """The sectors of a disk's key slots, which are random: each is nowhere else."""
    meta = json.loads(subprocess.run(["cryptsetup", "luksDump", "--dump-json-metadata", path], capture_output=True, check=True).stdout)
    areas = [(int(k["area"]["offset"]), int(k["area"]["size"])) for k in meta["keyslots"].values()]
    with open(path, "rb") as f:
        data = f.read(HEADERS_BYTES)
    return [data[i:i + 512] for at, size in areas for i in range(at, at + size, 512) if any(data[i:i + 512])]


def disks(lab):
    return {d["serial"]: d for d in lab.zos_json("node", "disks", lab.node_key)["disks"]}


def wait_state(lab, serial, state, seconds=90):
    until(f"'{serial}' is {state}", lambda: disks(lab).get(serial, {}).get("state") == state, seconds)
    return disks(lab)[serial]


def plug_in(node, machine):
    node.qmp("blockdev-add", **{"driver": "raw", "node-name": "scsi", "file": {"driver": "file", "filename": machine.blank["scsi"]}})
    node.qmp("device_add", driver="scsi-hd", bus="scsi.0", drive="scsi", serial="scsi", id="hot", rotation_rate=1)


def untouched(machine, but=()):
    for name, path in machine.foreign.items():
        assert name in but or digest(path) == machine.digests[name], f"{name} was written to"


def first_boot(lab, machine, report):
    with lab.newcomer(lab.node("metal", extra=machine.arguments(), memory_mib=2048)) as (node, record):
        lab.node_key = record["node"]
        lab.zos("farm", "approve", lab.node_key)
        with report.case("blank disks become the node's: virtio, NVMe, SATA"):
            for serial, bus, kind in (("virtio", "virtio", "hdd"), ("nvme", "nvme", "ssd"), ("sata", "sata", "hdd")):
                d = wait_state(lab, serial, "ready")
                assert (d["bus"], d["class"], d["key"]) == (bus, kind, "on the disk") and d["uuid"], d
        with report.case("what carries anything is left alone, and it is told what was found"):
            for name, (_, words) in FOREIGN.items():
                d = wait_state(lab, name, "foreign")
                assert words in d["text"], d
        with report.case("health says so, and that the keys are not sealed"):
            until("all is well", lambda: lab.zos_json("node", "health", lab.node_key)["ok"])
            wait_state(lab, "stick", "foreign")  # USB takes its time
            health = lab.zos_json("node", "health", lab.node_key)
            assert not health["keys_sealed"] and len(health["disks"]) == 3 + len(FOREIGN) + 1, health
            text = lab.zos("node", "health", lab.node_key)
            assert "keys       are not sealed" in text and "an ext4 file system is on it" in text, text
        with report.case("one that is plugged in is found and becomes the node's; pulled out it is gone, and back it is the same"):
            plug_in(node, machine)
            uuid = wait_state(lab, "scsi", "ready")["uuid"]
            node.qmp("device_del", id="hot")
            gone = wait_state(lab, "scsi", "gone")
            assert gone["uuid"] == uuid and not lab.zos_json("node", "health", lab.node_key)["ok"], gone
            node.qmp("blockdev-del", **{"node-name": "scsi"})
            plug_in(node, machine)
            assert wait_state(lab, "scsi", "ready")["uuid"] == uuid
        with report.case("nobody but the farm wipes, and nothing without its serial number twice"):
            with refused("--confirm ext4"):
                lab.zos("node", "disks", "wipe", "ext4")
            with refused("--confirm ext4"):
                lab.zos("node", "disks", "wipe", "ext4", "--confirm", "vfat")
            with refused("no disk with the serial number"):
                lab.zos("node", "disks", "wipe", "none", "--confirm", "none")
            untouched(machine)
        with report.case("the farm wipes a foreign disk: it becomes the node's"):
            lab.zos("node", "disks", "wipe", "ext4", "--confirm", "ext4")
            assert wait_state(lab, "ext4", "ready")["uuid"]
        for case, words in (("wipe-owner", "zos.Denied only the farm's own key"), ("wipe-serial", "zos.Invalid /confirm: is another serial")):
            with report.case(f"the node itself refuses the same order when it is wrong: {case}"):
                until("nothing is done with it", lambda: disks(lab)["vfat"]["state"] in ("foreign", "ready"))
                done = subprocess.run(["build/release/probe", case], capture_output=True, text=True, timeout=90, env=lab.environment())
                good, _, bad = done.stdout.strip().partition(" / ")
                assert good == "ok" and words in bad, done.stdout + done.stderr
        with report.case("the farm wipes one of ours: it is another disk then"):
            before, slots = disks(lab)["nvme"]["uuid"], key_slots(machine.blank["nvme"])
            done, shown = terminal.run([ZOS, "node", "disks", "wipe", "nvme", "--confirm", "nvme"], lab.environment())
            assert done.returncode == 0 and "wiping the disk" in shown, (done, shown)
            until("it has another UUID", lambda: wait_state(lab, "nvme", "ready")["uuid"] != before)
        with report.case("nothing of the keys that opened it is on it any more"):
            with open(machine.blank["nvme"], "rb") as f:
                left = f.read(HEADERS_BYTES)
            assert slots and not [s for s in slots if s in left], "a sector of the old key slots is still there"
        with report.case("what a disk says of its own health is shown, and that it says nothing is no fault"):
            until("it was asked", lambda: disks(lab)["nvme"].get("smart"), 150)
            assert disks(lab)["nvme"]["smart"] == {"failing": False, "worn": 0, "bad_sectors": 0}, disks(lab)["nvme"]
            assert all(disks(lab)[n]["state"] == "ready" for n in ("nvme", "virtio", "sata")) and "smart" not in disks(lab)["virtio"]
        with report.case("a SATA disk says it, too: it is asked by a service that may do nothing else, and leaves nothing behind"):
            until("it was asked", lambda: disks(lab)["sata"].get("smart"), 150)
            assert disks(lab)["sata"]["smart"] == {"failing": False, "worn": 0, "bad_sectors": 0}, disks(lab)["sata"]
            assert re.search(r"ata@sd[a-z]+-\d+: done", node.console.text) and not re.search(r"ata@\S+: (not ready|again|ended)", node.console.text)
            line = next(s for s in lab.zos("node", "disks", lab.node_key).splitlines() if " sata " in s)
            assert "SMART: well" in line, line
            until("health is well", lambda: lab.zos_json("node", "health", lab.node_key)["ok"])
        with report.case("a blank disk on USB is left alone until the farm takes such disks"):
            d = wait_state(lab, "stick", "foreign")
            assert d["bus"] == "usb" and "zos farm usb yes" in d["text"], d
            with open(machine.stick, "rb") as f:
                assert f.read(64 * MIB).count(0) == 64 * MIB
            lab.zos("farm", "usb", "yes")
            wait_state(lab, "stick", "ready")
        kept = {s: d["uuid"] for s, d in disks(lab).items() if d["state"] == "ready"}
        node.qmp("system_powerdown")
        assert node.wait_end() == 0
    return kept


def second_boot(lab, machine, kept, report):
    with report.case("what was not the node's has not been written to"):
        untouched(machine, but=("ext4", "vfat"))
    write_at(machine.blank["sata"], 0, b"\xff" * 4096)      # the first header, its copy is whole
    for at in (0, 16384):
        write_at(machine.foreign["ext4"], at + 512, b"\xff" * 256) # both headers, their signatures are whole
    damaged = digest(machine.foreign["ext4"])
    with lab.newcomer(lab.node("metal", extra=machine.arguments(), memory_mib=2048)) as (_, record):
        lab.node_key = record["node"]
        lab.zos("farm", "approve", lab.node_key)
        with report.case("after a start the same disks are there, also one that lost its first header"):
            for serial in ("virtio", "nvme", "sata", "stick"):
                assert wait_state(lab, serial, "ready")["uuid"] == kept[serial]
        with report.case("a disk whose headers are damaged is told of and never made anew"):
            until("it is told of", lambda: disks(lab)["ext4"]["state"] in ("failed", "foreign"))
            d = disks(lab)["ext4"]
            assert d["text"], d
            assert digest(machine.foreign["ext4"]) == damaged


def main():
    report = Report("make node T=storage")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        machine = Machine(lab.dir)
        kept = first_boot(lab, machine, report)
        second_boot(lab, machine, kept, report)
    return report.end()


sys.exit(main())
