#!/usr/bin/python3
"""The power fails while a disk is made the node's: afterwards the disk is the node's, is made anew, or is left alone, and never half of one.

The writes of a disk that is being adopted are recorded by QEMU, and played back up to ROUNDS=12 moments, with what no flush had covered by then lost or not, as SEED
says. All those disks are in one machine then."""
import os, random, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from cutlog import Disk
from lab import Lab, until
from qemu import Report

SIZE = 1100 << 20
HEADERS = 32 << 10


def record(lab, disk):
    """The log of a blank disk that becomes the node's, its UUID, and the node's record."""
    with lab.newcomer(lab.node(extra=disk.arguments())) as (_, node):
        lab.zos("farm", "approve", node["node"])
        until("the disk is ready", lambda: disks(lab, node)["cut"]["state"] == "ready")
        uuid = disks(lab, node)["cut"]["uuid"]
    return list(disk.entries()), uuid, node


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
        disk = Disk(f"{lab.dir}/disk", SIZE)
        log, uuid, node = record(lab, disk)
        finished = next(i for i, e in enumerate(log) if e[0] < HEADERS and b"complete" in disk.data(e))
        cuts = [0, *sorted(chance.sample(range(1, finished), rounds)), len(log)]  # only one can be whole: all have the same UUID then
        print(f"     {len(log)} writes, cut behind {cuts}, seed {seed}")
        paths = [disk.replay(log, cut, f"{lab.dir}/cut-{cut}", SIZE, chance) for cut in cuts]
        with lab.node(drives=paths, memory_mib=2048) as machine:
            machine.wait_line(r"is up, (\d+) services", 200)

            def is_back():  # as who it was: until the whole disk has been read it may be somebody new, whom nobody should approve
                return any(n["node"] == node["node"] and n["boot_time"] != node["boot_time"] for n in lab.zos_json("node", "list"))

            def known():
                return all(d["state"] in ("ready", "foreign", "failed") for d in disks(lab, node).values())
            until("the node of the whole disk is back", is_back, 120)
            lab.zos("farm", "approve", node["node"])
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
