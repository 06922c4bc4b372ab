#!/usr/bin/python3
"""The power fails while a disk is made the node's: afterwards the disk is the node's, is made anew, or is left alone, and never half of one.

The writes of a disk that is being adopted are recorded by QEMU, and played back up to ROUNDS=12 moments, with what no flush had covered by then lost or not, as SEED
says. All those disks are in one machine then."""
import os, random, struct, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Lab, until
from qemu import Report

SIZE = 1100 << 20
HEADERS = 32 << 10
FLUSH, FUA, DISCARD = 1, 2, 4


def make(path):
    with open(path, "wb") as f:
        f.truncate(SIZE)
    return path


def entries(path):
    """(offset, bytes, flags, data) of each write, as Documentation/admin-guide/device-mapper/log-writes.rst has them."""
    with open(path, "rb") as f:
        magic, version, count, sector = struct.unpack("<QQQI", f.read(28))
        assert (magic, version) == (0x6a736677736872, 1), (magic, version)
        f.seek(sector)
        for _ in range(count):
            at, n, flags, _ = struct.unpack("<QQQQ", f.read(sector)[:32])
            yield at * sector, n * sector, flags, b"" if flags & DISCARD else f.read(n * sector)


def replay(log, cut, path, chance):
    """A disk as it is when the power fails behind the first CUT writes."""
    safe = max((i + 1 for i, e in enumerate(log[:cut]) if e[2] & FLUSH), default=0)
    with open(make(path), "r+b") as f:
        for i, (at, n, flags, data) in enumerate(log[:cut]):
            if i >= safe and not flags & FUA and chance.random() < 0.5:
                continue
            f.seek(at)
            f.write(bytes(n) if flags & DISCARD else data)
    return path


def record(lab):
    """The log of a blank disk that becomes the node's, and its UUID."""
    disk, log = make(f"{lab.dir}/disk"), f"{lab.dir}/log"
    open(log, "wb").close()
    extra = ["-blockdev", f"driver=file,filename={disk},node-name=disk", "-blockdev", f"driver=file,filename={log},node-name=log",
             "-blockdev", "driver=blklogwrites,file=disk,log=log,node-name=cut", "-device", "virtio-blk-pci,drive=cut,serial=cut"]
    with lab.newcomer(lab.node(extra=extra)) as (_, node):
        lab.zos("farm", "approve", node["node"])
        until("the disk is ready", lambda: disks(lab, node)["cut"]["state"] == "ready")
        uuid = disks(lab, node)["cut"]["uuid"]
    return list(entries(log)), uuid


def disks(lab, node):
    return {d["serial"]: d for d in lab.zos_json("node", "disks", node["node"])["disks"]}


def main():
    report, rounds = Report("make node T=cut"), int(os.environ.get("ROUNDS", "12"))
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    chance = random.Random(seed)
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        log, uuid = record(lab)
        finished = next(i for i, (at, n, _, data) in enumerate(log) if at < HEADERS and b"complete" in data)
        cuts = [0, *sorted(chance.sample(range(1, finished), rounds)), len(log)]  # only one can be whole: all have the same UUID then
        print(f"     {len(log)} writes, cut behind {cuts}, seed {seed}")
        paths = [replay(log, cut, f"{lab.dir}/cut-{cut}", chance) for cut in cuts]
        with lab.newcomer(lab.node(drives=paths, memory_mib=2048)) as (_, node):
            lab.zos("farm", "approve", node["node"])

            def known():
                return all(d["state"] in ("ready", "foreign", "failed") for d in disks(lab, node).values())
            until("all disks were looked at", lambda: len(disks(lab, node)) == len(cuts) and known(), 120)
            for i, cut in enumerate(cuts):
                d = disks(lab, node)[f"disk{i}"]
                with report.case(f"cut behind {cut} of {len(log)} writes: {d['state']}{', ' + d['text'] if d['text'] else ''}"):
                    assert d["state"] == "ready" or d["text"], d
                    assert d["state"] != "failed" or "zos node disks wipe" in d["text"], d
                    assert d["state"] == "ready" or 0 < cut < len(log), d
            assert disks(lab, node)[f"disk{len(cuts) - 1}"]["uuid"] == uuid
    return report.end()


sys.exit(main())
