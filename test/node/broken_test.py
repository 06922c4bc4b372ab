#!/usr/bin/python3
"""Disks that are full, that give back something else than was written, and that die under what is mounted: each is told, nothing is made anew, and the
node goes on with what it has."""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Failed, Lab, refused, until
from qemu import Report
from served import served
from registry import Registry
from storage import WAIT, Storage, on, volume

MIB = 1 << 20
SIZE = 1450 * MIB
BLOCK = 4096


def chunks(path):
    with open(path, "rb") as f:
        return [hash(c) for c in iter(lambda: f.read(MIB), b"")]


def fills_up(s, report):
    """Volumes as large as can be promised, full to the last byte."""
    with report.case("volumes take all that can be promised, and no more"):
        for n in range(8, 0, -1):
            names = [f"v{i}" for i in range(n)]
            s.write("full", [volume(v, "300MiB") for v in names] + [s.box("box", WAIT, [on(v, f"/{v}") for v in names])])
            try:
                s.lab.zos("deploy", f"{s.lab.dir}/full.json")
                break
            except Failed as e:
                assert "no disk of class 'any' has 300" in str(e), e
        assert n >= 4, n
    with report.case("who writes more than fits is told so, in whole files and in small ones"):
        for v in names:
            out = s.sh("full", "box", f"fallocate -l 270MiB /{v}/room; dd if=/dev/zero of=/{v}/fill bs=1M 2>&1; sync; i=0; while mkdir /{v}/$i 2>&1; do i=$((i+1)); done; echo; ls /{v}")
            assert "Disk quota exceeded" in out and "fill" in out, out[-500:]
        assert all(270 * MIB < s.state("full", v)["used"] <= 300 * MIB for v in names)
    with report.case("the node's own state has room: it takes orders, and they last"):
        for i in range(3):
            s.put(f"more{i}", s.box("box", WAIT, []))
            s.lab.zos("delete", f"more{i}")
        assert s.lab.zos_json("node", "info")["durable"] and all(d["state"] == "ready" for d in s.disks().values()), s.disks()
        s.lab.zos("delete", "full")
        until("it is gone", lambda: s.node.shell("ls /zos/disks/*/volumes")[0].count(".") == 0, 120)


def scrubbed(s, serial):
    """A scrub of that disk, begun now, and ended: what it found."""
    uuid = s.disks()[serial]["uuid"]
    s.node.shell(f"sed -i 's/\"ended\":[0-9]*/\"ended\":0/' /zos/disks/{uuid}/scrub")
    until("the node knows", lambda: s.disks()[serial]["scrub"]["ended"] == 0, 150)
    until("it was read through", lambda: s.disks()[serial]["scrub"]["ended"] != 0, 150)
    return s.disks()[serial]["scrub"]


def rots(s, path, report):
    """Some blocks of what was written become something else."""
    s.put("rot", volume("data", "400MiB"), s.box("box", WAIT, [on("data", "/srv")]))
    serial = next(n for n, d in s.disks().items() if d["uuid"] == s.state("rot", "data")["device"])
    before = chunks(path[serial])
    s.sh("rot", "box", "head -c 60000000 /dev/urandom > /srv/some; echo well > /srv/word; sync")
    written = [i for i, (a, b) in enumerate(zip(before, chunks(path[serial]))) if a != b]
    middle = [i for i in written if i - 1 in written and i + 1 in written]
    assert len(middle) > 30, written
    with open(path[serial], "r+b") as f:
        for i in middle[10:20]:
            f.seek(i * MIB + 37 * BLOCK)
            f.write(os.urandom(BLOCK))
    with report.case("blocks that are not what was written are an error to who reads them, and make the disk degraded"):
        s.node.shell("echo 3 > /proc/sys/vm/drop_caches")
        with refused("nput/output error"):
            s.sh("rot", "box", "cat /srv/some > /dev/null")
        until("it is degraded", lambda: s.disks()[serial]["state"] == "degraded", 150)
        d = s.disks()[serial]
        assert d["bad_blocks"] > 0 and "blocks that were read were wrong" in d["text"], d
        health = s.lab.zos_json("node", "health")
        assert not health["ok"] and d["text"] in s.lab.zos("node", "health"), health
        w = s.state("rot", "data")
        assert w["state"] == "degraded" and w["message"] == d["text"], w
    with report.case("a degraded disk takes nothing new, and what is on it goes on"):
        s.put("rot2", volume("data"))
        assert s.state("rot2", "data")["device"] != d["uuid"]
        s.lab.zos("delete", "rot2")
        assert s.sh("rot", "box", "echo more >> /srv/word; cat /srv/word") == "well\nmore\n"
    with report.case("a scrub finds all of them, and says that they cannot be repaired"):
        found = scrubbed(s, serial)
        assert found["errors"] >= 10 and found["broken"] >= 10, found
        assert "cannot be repaired" in s.lab.zos("node", "health")
    with report.case("once what was broken is removed, a scrub that finds nothing ends it"):
        s.sh("rot", "box", "rm /srv/some; sync")
        found = scrubbed(s, serial)
        assert not found["errors"], found
        assert s.disks()[serial]["state"] == "ready" and s.state("rot", "data")["state"] == "ok", s.disks()[serial]
        until("all is well", lambda: s.lab.zos_json("node", "health")["ok"])
        assert "scrubbed" in s.lab.zos("node", "disks")
    s.lab.zos("delete", "rot")


def dies(s, program, report):
    """The disk with a volume is there and answers nothing but errors."""
    for i in range(4):
        s.put(f"on{i}", volume("data", "300MiB"), s.box("box", WAIT, [on("data", "/srv")]))
        if s.state(f"on{i}", "data")["device"] == s.disks()["served"]["uuid"]:
            break
    name, uuid = f"on{i}", s.disks()["served"]["uuid"]
    s.sh(name, "box", "echo kept > /srv/word; sync")
    program.kill()
    program.wait()
    with report.case("a disk that dies under what is mounted is degraded, and so is what is on it"):
        s.sh(name, "box", "echo lost > /srv/lost; sync; true")
        until("it is degraded", lambda: s.disks()["served"]["state"] == "degraded", 200)
        d = s.disks()["served"]
        assert d["uuid"] == uuid and d["text"], d
        until("its volume says so", lambda: s.state(name, "data")["state"] in ("degraded", "waiting"))
    with report.case("the node goes on: what is said to be done is kept on the other disk"):
        s.put("after", volume("data"), s.box("box", WAIT, [on("data", "/srv")]))
        assert s.state("after", "data")["device"] == s.disks()["well"]["uuid"]
        assert s.lab.zos_json("node", "info")["durable"]
    return name, uuid


def comes_back(s, name, uuid, report):
    with report.case("after a start with that disk alive again all is there, and nothing was made anew"):
        s.wait_state("after", "box", "ok", 200)
        s.wait_state(name, "box", "ok", 200)
        assert s.disks()["served"]["uuid"] == uuid
        assert s.sh(name, "box", "cat /srv/word") == "kept\n"


def main():
    report = Report("make node T=broken")
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        path = {n: f"{lab.dir}/{n}" for n in ("well", "served")}
        for p in path.values():
            with open(p, "wb") as f:
                f.truncate(SIZE)
        well = ["-drive", f"file={path['well']},if=none,format=raw,id=well", "-device", "virtio-blk-pci,drive=well,serial=well"]
        with served(path["served"]) as (program, mortal), lab.node("debug", memory_mib=2048, extra=well + mortal) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            s = Storage(lab, registry, node)
            until("both are ready", lambda: [d["state"] for d in s.disks().values()] == ["ready", "ready"], 120)
            until("it is durable", lambda: lab.zos_json("node", "info")["durable"], 120)
            fills_up(s, report)
            rots(s, path, report)
            name, uuid = dies(s, program, report)
        with served(path["served"]) as (program, mortal), lab.newcomer(lab.node("debug", memory_mib=2048, extra=well + mortal)) as (s.node, _):
            comes_back(s, name, uuid, report)
    return report.end()


sys.exit(main())
