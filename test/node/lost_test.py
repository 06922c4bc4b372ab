#!/usr/bin/python3
"""Disks that are away, come back old, change places or rot: whichever of them is there, it is the same node with what was said last, and what ran there runs."""
import os, random, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Lab, refused, until
from qemu import Report
from registry import Registry
from storage import WAIT, Storage

MIB = 1 << 20
SIZE = 1100 * MIB
HEADER = 16 * MIB  # of LUKS2, with its key slots: test/node/storage_test.py damages that
BLOCK = 4096
NAMES = ("one", "two", "three")
MISSING = (["one"], ["two"], ["one", "two"])  # images are kept on the first one; the third was always there


def drives(paths, names):
    args = []
    for name in names:
        args += ["-drive", f"file={paths[name]},if=none,format=raw,id={name}", "-device", f"virtio-blk-pci,drive={name},serial={name}"]
    return args


def boot(s, names):
    return s.lab.newcomer(s.lab.node("debug", memory_mib=1536, extra=drives(s.paths, names)))


def is_itself(s, record, names):
    assert record["node"] == s.identity, record["node"]
    until("its disks are ready", lambda: [s.disks().get(n, {}).get("state") for n in names] == ["ready"] * len(names), 120)
    assert all(s.disks()[n]["uuid"] == s.uuids[n] for n in names), s.disks()
    assert s.lab.zos_json("node", "info")["durable"]


def deployments(s):
    return {d["name"] for d in s.lab.zos_json("ps")["deployments"] if not d["deleted"]}


def first(s, report):
    with report.case("three blank disks become the node's, and each keeps what is said"):
        with s.lab.newcomer(s.lab.node("debug", memory_mib=1536, extra=drives(s.paths, NAMES))) as (s.node, record):
            s.identity = record["node"]
            s.lab.zos("farm", "approve", s.identity)
            until("all are ready", lambda: [d["state"] for d in s.disks().values()] == ["ready"] * 3, 120)
            until("all keep its state", lambda: s.node.shell("ls /zos/disks/*/state/identity | wc -l")[0] == "3", 60)
            s.uuids = {n: d["uuid"] for n, d in s.disks().items()}
            s.put("old", s.box("box", WAIT, []))
            until("each has a copy of its image", lambda: s.node.shell("ls /zos/disks/*/images/held | grep -c '^[0-9a-f]'")[0] == "3", 60)


def away(s, report):
    """Some are not there, the others are plugged in the other way round, and no registry answers."""
    for i, missing in enumerate(MISSING):
        there = [n for n in reversed(NAMES) if n not in missing]
        s.registry.stop()
        with boot(s, there) as (s.node, record):
            with report.case(f"without disk {' and '.join(missing)}, and the others in other places, it is the same node"):
                is_itself(s, record, there)
                assert "old" in deployments(s) and not any(f"new{k}" not in deployments(s) for k in range(i)), deployments(s)
            with report.case("what ran there runs without a registry: what is needed of images is on each disk"):
                for name in deployments(s):
                    s.wait_state(name, "box", "ok")
                    s.sh(name, "box", "md5sum /usr/bin/* > /dev/null")
            s.registry.start(s.registry.port)
            s.put(f"new{i}", s.box("box", WAIT, []))
            if missing is MISSING[-1]:
                s.lab.zos("delete", "old")
                pulled(s, report)


def pulled(s, report):
    """The only disk that is there goes, under a node that runs, and comes back."""
    with report.case("a node whose only disk is gone says so to all who ask, and changes nothing"):
        s.lab.zos("restart", "new2/box")
        s.wait_state("new2", "box", "ok")
        s.node.shell("echo 1 > $(readlink -f $(dirname $(grep -l three /sys/block/vd*/serial))/device)/../remove")  # as the kernel does when it is pulled out
        until("it is gone", lambda: s.disks()["three"]["state"] == "gone", 60)
        assert "put it back" in s.lab.zos("node", "health") and not s.lab.zos_json("node", "health")["ok"]
        assert not s.lab.zos_json("node", "info")["durable"] and deployments(s) == {"new0", "new1", "new2"}, deployments(s)
        s.lab.zos("get", "new2"), s.lab.zos("node", "logs", "noded")
        for words in ("stop", "new2/box"), ("delete", "new2"), ("node", "drain"):
            with refused("changes nothing while it cannot write down which orders it took (none of its disks is here)"):
                s.lab.zos(*words)
    with report.case("once the disk is back, it takes orders again"):
        s.node.shell("echo 1 > /sys/bus/pci/rescan")
        until("it is durable", lambda: s.lab.zos_json("node", "info")["durable"], 120)
        s.lab.zos("restart", "new2/box")
        s.wait_state("new2", "box", "ok")


def back(s, report):
    """All of them, the last one of which knows nothing of a deletion; then what they say is made something else, where the node cannot see who does it."""
    with boot(s, NAMES) as (s.node, record):
        with report.case("old disks that come back resurrect nothing, and learn what was said without them"):
            is_itself(s, record, NAMES)
            assert deployments(s) == {"new0", "new1", "new2"}, deployments(s)
            count = "for d in /zos/disks/*; do ls $d/state/deployments/*/new2; done | wc -l"
            until("each knows all", lambda: s.node.shell(count)[0] == "3", 60)
        s.node.shell(f"cd /zos/disks/{s.uuids['one']}/state && for f in $(find . -type f); do n=$(wc -c < $f); [ $n -gt 0 ] || continue; "
                     f"dd if=/dev/urandom of=$f bs=1 count=16 seek=$(({s.chance.randrange(1000)} % n)) conv=notrunc 2>/dev/null; done; sync")


def rotten(s, report):
    with boot(s, NAMES) as (s.node, record):
        with report.case("state that was damaged on one disk is written again from the others"):
            is_itself(s, record, NAMES)
            assert deployments(s) == {"new0", "new1", "new2"}, deployments(s)
            same = "cd /zos/disks; for f in $(cd {0}/state; find . -type f ! -name .nonces); do cmp {0}/state/$f {1}/state/$f || echo other; done"
            until("both are the same", lambda: s.node.shell(same.format(s.uuids["one"], s.uuids["two"]))[0] == "", 60)
    with open(s.paths["two"], "r+b") as f:  # a quarter of all that was ever written there, as it lies on the disk
        for at in range(HEADER, SIZE, BLOCK):
            f.seek(at)
            if s.chance.random() < 0.25 and f.read(BLOCK).count(0) != BLOCK:
                f.seek(at)
                f.write(s.chance.randbytes(BLOCK))
    with boot(s, NAMES) as (s.node, record):
        with report.case("with a quarter of one disk gone bad it is the same node, and that disk is told of and not made anew"):
            assert record["node"] == s.identity
            until("the others are ready", lambda: [s.disks()[n]["state"] for n in ("one", "three")] == ["ready"] * 2, 120)
            until("the bad one is told of", lambda: s.disks()["two"]["state"] in ("failed", "degraded"), 200)
            assert s.disks()["two"]["text"] and s.disks()["two"]["uuid"] == s.uuids["two"], s.disks()["two"]
            assert deployments(s) == {"new0", "new1", "new2"} and s.lab.zos_json("node", "info")["durable"]
            s.put("last", s.box("box", WAIT, []))


def main():
    report = Report("make node T=lost")
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    print(f"     seed {seed}")
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        s = Storage(lab, registry, None)
        s.registry = registry
        s.chance = random.Random(seed)
        s.paths = {n: f"{lab.dir}/{n}" for n in NAMES}
        for p in s.paths.values():
            with open(p, "wb") as f:
                f.truncate(SIZE)
        for part in (first, away, back, rotten):
            part(s, report)
    return report.end()


sys.exit(main())
