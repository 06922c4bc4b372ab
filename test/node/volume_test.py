#!/usr/bin/python3
"""Volumes and disks of machines on a booted node: there, shared, limited, there again after the node went down, missed when their disk is missing."""
import contextlib, io, os, re, subprocess, sys, tarfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import terminal
from lab import ZOS, Failed, Lab, refused, until
from qemu import Report, Timeout
from registry import Registry
from storage import WAIT, Storage, on, volume

MIB = 1 << 20
SIZE = 3000 * MIB
COUNTS = "echo started >> /srv/starts; " + WAIT


def containers(s, report):
    with report.case("a volume is there for two containers, of which one only reads, and is as large as was asked for"):
        s.put("shop", volume("data"), s.box("web", WAIT, [on("data", "/srv/data")], user="app"), s.box("look", WAIT, [on("data", "/look", True)]),
              s.box("root", COUNTS, [on("data", "/srv")]))
        s.sh("shop", "root", "echo hello > /srv/word; mkdir /srv/app; chown 1000:1000 /srv/app")
        s.sh("shop", "web", "echo mine > /srv/data/app/mine")  # its own user, by number, whatever range of the node's that is
        assert s.sh("shop", "look", "cat /look/word /look/app/mine; stat -c %u:%g /look/app/mine") == "hello\nmine\n1000:1000\n"
        with refused("Read-only file system"):
            s.sh("shop", "look", "echo no > /look/word")
        with refused("I/O error"):  # busybox's word for whatever went wrong
            s.sh("shop", "root", "fallocate -l 160MiB /srv/room && head -c 60000000 /dev/zero > /srv/large && sync")
        used = s.state("shop", "data")["used"]
        assert 150 * MIB < used <= 200 * MIB, used
        s.sh("shop", "root", "rm /srv/large /srv/room")
    with report.case("names count twice, as the file system keeps them twice: a look at the disk takes that off the limit"):
        name = "n" * 240
        s.sh("shop", "root", f"mkdir /srv/names; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); : > /srv/names/{name}$i; done; sync")
        until("its limit is below its size", lambda: s.disks() and is_below(s.node, 200 * MIB), 120)  # who asks for disks has them looked at
        s.sh("shop", "root", "rm -r /srv/names; sync")


def is_below(node, size):
    """Whether a volume of this SIZE is limited to some MiB less."""
    words = node.shell("for g in /sys/fs/btrfs/*/qgroups/1_*; do cat $g/max_exclusive $g/max_referenced; done")[0].split()
    return any(int(of) == size and int(limit) < size - 2 * MIB for of, limit in zip(words[::2], words[1::2]))


def grows(s, report):
    with report.case("a volume grows under what runs, and does not shrink below what is in it"):
        before = s.state("shop", "root")["restarts"]
        s.sh("shop", "root", "head -c 24000000 /dev/urandom > /srv/some && fallocate -l 96MiB /srv/room && sync && echo mark > /tmp/mark")
        until("its use is seen", lambda: s.state("shop", "data")["used"] > 110 * MIB, 60)
        words = [s.box("web", WAIT, [on("data", "/srv/data")], user="app"), s.box("look", WAIT, [on("data", "/look", True)]),
                 s.box("root", COUNTS, [on("data", "/srv")])]
        s.put("shop", volume("data", "400MiB"), *words)
        assert s.sh("shop", "root", "cat /tmp/mark; fallocate -l 200MiB /srv/more && echo fits") == "mark\nfits\n"
        s.sh("shop", "root", "rm /srv/more; sync")
        assert s.state("shop", "root")["restarts"] == before
        s.write("shop", [volume("data", "100MiB"), *words])
        with refused("/workloads/0/data/size: 104857600 is below"):
            s.lab.zos("deploy", f"{s.lab.dir}/shop.json")
        s.sh("shop", "root", "rm /srv/room; sync")


def snapshots(s, report):
    with report.case("a snapshot is made, and what runs goes back to it"):
        s.sh("shop", "root", "echo before > /srv/word")
        name = s.lab.zos("volume", "snapshot", "shop/data").strip()
        s.sh("shop", "root", "echo after > /srv/word")
        assert [x["name"] for x in s.lab.zos_json("volume", "snapshots", "shop/data")["snapshots"]] == [name]
        s.lab.zos("volume", "restore", "shop/data", name)
        s.wait_state("shop", "root", "ok")
        assert s.sh("shop", "root", "cat /srv/word") == "before\n"
        with refused("there is no snapshot 'never'"):
            s.lab.zos("volume", "restore", "shop/data", "never")
        s.lab.zos("volume", "forget", "shop/data", name)
        s.lab.zos("volume", "resize", "shop/data", "500MiB")
        rows = {v["name"]: v for v in s.lab.zos_json("volume", "list")}
        assert rows["data"]["size"] == 500 * MIB and rows["data"]["state"] == "ok", rows
        s.sh("shop", "root", "echo hello > /srv/word")


def scheduled(s, keep):
    """The kept volume's snapshots of its schedule, by name; never more than KEEP."""
    names = {x["name"] for x in s.lab.zos_json("volume", "snapshots", "kept/auto")["snapshots"]}
    assert len(names) <= keep and all(n.startswith("auto-") for n in names), names
    return names


def schedule(s, report):
    with report.case("a volume's schedule makes a snapshot at once and then each minute; the oldest goes when there are more than it keeps"):
        seen = set()
        def goes_on():
            now = scheduled(s, 2)
            seen.update(now)
            return len(seen) > 2 and now == set(sorted(seen)[-2:])
        until("the third has taken the place of the first", goes_on, 240)
        times = [int(n.removeprefix("auto-")) for n in sorted(seen)]
        assert all(after - before >= 60 for before, after in zip(times, times[1:])), times
        newest = max(scheduled(s, 2))
        s.sh("kept", "box", "echo after > /srv/word; sync")
        s.lab.zos("volume", "restore", "kept/auto", newest)
        s.wait_state("kept", "box", "ok")
        assert s.sh("kept", "box", "cat /srv/word") == "before\n"
        s.lab.zos("delete", "kept")


def zos_bytes(s, *words, data=None):
    return subprocess.run([ZOS, *words], input=data, capture_output=True, env=s.lab.environment())


def drawn(s, *words, data=None):
    """The same with standard error on a terminal: what was shown there, too."""
    return terminal.run([ZOS, *words], s.lab.environment(), stdout=subprocess.PIPE, data=data)


def archives(s, report):
    with report.case("what is in a volume goes through the session as an archive, and into another one, whose machines see it"):
        s.sh("shop", "root", "mkdir /srv/tree; echo deep > /srv/tree/leaf; chown -R 1000:33 /srv/tree; ln -s leaf /srv/tree/link; sync")
        out, shown = drawn(s, "volume", "export", "shop/data")
        assert out.returncode == 0 and re.search(r"exporting +\[#*\.*\] \S+ MiB of \S+ MiB", shown), shown
        with tarfile.open(fileobj=io.BytesIO(out.stdout)) as t:
            leaf = t.getmember("tree/leaf")
            assert (leaf.uid, leaf.gid, t.extractfile(leaf).read()) == (1000, 33, b"deep\n") and t.getmember("tree/link").linkname == "leaf"
        s.put("copy", volume("data", "100MiB"), s.box("box", COUNTS, [on("data", "/srv")]))
        s.sh("copy", "box", "echo old > /srv/old")
        done, shown = drawn(s, "volume", "import", "copy/data", data=out.stdout)
        assert done.returncode == 0 and re.search(r"the archive +\S+ MiB", shown), shown
        s.wait_state("copy", "box", "ok")
        until("it runs on what came", lambda: s.sh("copy", "box", "cat /srv/tree/link; stat -c %u:%g /srv/tree; ls /srv/old 2>&1 | wc -l") == "deep\n1000:33\n1\n", 60)
        assert s.sh("copy", "box", "sha256sum < /srv/some") == s.sh("shop", "root", "sha256sum < /srv/some")
    with report.case("an archive that breaks off, or is too large, changes nothing and is told"):
        starts = s.sh("copy", "box", "fallocate -l 60MiB /srv/room && sync; wc -l < /srv/starts")
        half = zos_bytes(s, "volume", "import", "copy/data", data=out.stdout[:len(out.stdout) // 2])
        assert half.returncode and b"breaks off before its end" in half.stderr, half
        large = zos_bytes(s, "volume", "import", "copy/data", data=out.stdout)  # beside what is there it does not fit
        assert large.returncode and b"has no room for" in large.stderr and b"zos volume resize" in large.stderr, large
        assert s.sh("copy", "box", "wc -l < /srv/starts; cat /srv/tree/leaf") == starts + "deep\n"
        none = zos_bytes(s, "volume", "export", "copy/data", "--snapshot", "never")
        assert none.returncode and b"there is no snapshot 'never'" in none.stderr and not none.stdout, none
        s.lab.zos("delete", "copy")


def machine(s, report):
    with report.case("a virtual machine has a disk of its own, formatted, written and read"):
        disk = {"name": "disk", "type": "zmount", "data": {"size": "200MiB"}}
        s.put("vm", disk, s.box("box", WAIT, [on("disk", "/srv/db")], isolation="vm", memory="256MiB"))
        out = s.sh("vm", "box", "head -c 20000000 /dev/urandom > /srv/db/x; sync; sha256sum < /srv/db/x; grep /srv/db /proc/mounts")
        assert "ext4" in out and "/dev/vd" in out, out
    with report.case("what it deletes there and gives back is free on the node's disk again"):
        taken = lambda: int(s.node.shell("stat -c %b /zos/disks/*/disks/*")[0]) * 512
        s.sh("vm", "box", "head -c 50000000 /dev/urandom > /srv/db/y; sync")
        full = taken()
        s.sh("vm", "box", "rm /srv/db/y; sync; fstrim /srv/db")
        assert full > 150 * MIB and taken() < full - 100 * MIB, (full, taken())
        assert s.sh("vm", "box", "sha256sum < /srv/db/x").split()[0] == out.split()[0]
    with report.case("a disk that was made larger is so in its machine when that starts again, with all that was in it"):
        df = "df -P -m /srv/db | tail -n1 | awk '{print $2}'"
        small = int(s.sh("vm", "box", df))
        s.lab.zos("volume", "resize", "vm/disk", "400MiB")
        s.lab.zos("restart", "vm/box")
        until("it has grown", lambda: grown(s, df) > small + 150, 120)
        assert s.sh("vm", "box", "sha256sum < /srv/db/x").split()[0] == out.split()[0]
        return out.split()[0]


def grown(s, df):
    try:
        return int(s.sh("vm", "box", df))
    except Failed:  # it is not up yet
        return 0


def refusals(s, report):
    with report.case("what no disk has room for is refused, and nothing of it stays"):
        s.write("big", [volume("huge", "100GiB")])
        with refused("/workloads/0/data/size: no disk of class 'any' has 100"):
            s.lab.zos("deploy", f"{s.lab.dir}/big.json")
        s.write("tape", [volume("slow", "100MiB", **{"class": "ssd"})])  # the kernel takes a virtio disk for one that turns
        with refused("no disk of class 'ssd'"):
            s.lab.zos("deploy", f"{s.lab.dir}/tape.json")


# where a disk can be plugged in while the node runs: a SAS controller, and a PCIe slot
PORTS = ["-device", "virtio-scsi-pci,id=sas", "-device", "pcie-root-port,id=bay,chassis=7"]


def is_let_go(node):
    """QEMU ends a disk a moment after the machine knows that it is gone."""
    try:
        node.qmp("blockdev-del", **{"node-name": "late"})
    except Timeout:
        return False
    return True


@contextlib.contextmanager
def plugged(node, path, serial, driver, bus):
    """A disk that is plugged in there; and pulled out at the end, under whatever has it."""
    node.qmp("blockdev-add", **{"driver": "raw", "node-name": "late", "file": {"driver": "file", "filename": path}})
    node.qmp("device_add", driver=driver, bus=bus, drive="late", serial=serial, id="late")
    yield
    node.qmp("device_del", id="late")
    node.wait_line(rf"disk \w+: gone, serial '{serial}'", 60)
    until("QEMU has let go of it", lambda: is_let_go(node))


def untouched(s, since):
    """What needs nothing of that disk runs as it did SINCE."""
    w = s.state("free", "box")
    assert (w["state"], w["restarts"], s.sh("free", "box", "cat /tmp/mark")) == ("ok", since, "mark\n"), w


def late(s, report, drives, options, place, serials):
    """The disk with the volume is not there when the node starts, comes, goes and comes again somewhere else, all under a node that runs."""
    uuid = place["shop", "data"]
    serial = serials[uuid]
    mine = [w for w, disk in place.items() if disk == uuid]
    path, other = drives[int(serial.removeprefix("disk"))], drives[1 - int(serial.removeprefix("disk"))]
    boxes = {"data": ("shop", "root"), "disk": ("vm", "box")}

    def waits():
        for name, workload in mine:
            s.wait_state(name, workload, "waiting", 180)
            assert uuid in s.state(name, workload)["message"], s.state(name, workload)
            s.wait_state(*boxes[workload], "waiting")
            assert f"waits for '{workload}'" in s.state(*boxes[workload])["message"], s.state(*boxes[workload])

    def runs():
        for name, workload in mine:
            s.wait_state(name, workload, "ok", 120)
            s.wait_state(*boxes[workload], "ok", 180)
        assert s.sh("shop", "root", "sha256sum < /srv/some | cmp - /srv/sum && cat /srv/word") == "hello\n"
        assert sorted(serials) == sorted(d["uuid"] for d in s.lab.zos_json("node", "disks")["disks"] if d["uuid"]), s.disks()
        untouched(s, since)

    with s.lab.node("debug", **{**options, "drives": [other], "extra": PORTS}) as s.node:
        s.node.wait_line(r"is up, (\d+) services", 200)
        with report.case("without the disk that has it, a volume is waited for and says for which, and what needs no disk runs"):
            waits()
            s.put("free", s.box("box", WAIT, []))
            s.sh("free", "box", "echo mark > /tmp/mark")
            since = s.state("free", "box")["restarts"]
        with plugged(s.node, path, serial, "scsi-hd", "sas.0"):
            with report.case("the disk comes while the node runs: what waited for it starts by itself, with its data"):
                runs()
        with report.case("pulled out under what runs, it is waited for again, and all else is as it was"):
            waits()
            untouched(s, since)
        with plugged(s.node, path, serial, "virtio-blk-pci", "bay"):
            with report.case("plugged in elsewhere it is the same disk, and all is as before"):
                runs()
                until("health is well", lambda: s.lab.zos_json("node", "health")["ok"])
        with report.case("what is deleted without its disk goes when the disk comes, and nothing comes back"):
            waits()
            s.lab.zos("delete", "shop")
            with plugged(s.node, path, serial, "scsi-hd", "sas.0"):
                until("it is ready", lambda: s.disks()[serial]["state"] == "ready")
                until("it is gone from its disk", lambda: s.node.shell("ls /zos/disks/*/volumes")[0].count(".") == 0, 60)
                assert not any(d["name"] == "shop" and not d["deleted"] for d in s.lab.zos_json("ps")["deployments"])
                untouched(s, since)


def main():
    report = Report("make node T=volume")
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        drives = [f"{lab.dir}/disk{i}" for i in range(2)]
        for path in drives:
            with open(path, "wb") as f:
                f.truncate(SIZE)
        options = {"memory_mib": 2048, "drives": drives}
        with lab.node("debug", **options) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            identity = lab.wait_nodes()[0]["node"]
            lab.zos("farm", "approve", identity)
            s = Storage(lab, registry, node)
            with report.case("two blank disks become the node's, and keep its state"):
                until("it is durable", lambda: lab.zos_json("node", "info")["durable"], 120)
                until("there is room for volumes", lambda: lab.zos_json("node", "info")["capacity"]["hdd"] > 3000 * MIB, 60)
                until("both are ready", lambda: [d["state"] for d in s.disks().values()] == ["ready", "ready"], 120)
                mounts = [line for line in node.shell("cat /proc/mounts")[0].splitlines() if re.search(r" /zos/disks/\S+ btrfs ", line)]
                assert len(mounts) == 2 and all("max_inline=0" in line for line in mounts), mounts  # net volume-narrow has its disk so
            s.put("kept", volume("auto", "100MiB", snapshots={"every": 60, "keep": 2}),
                  s.box("box", "[ -e /srv/word ] || echo before > /srv/word; sync; " + WAIT, [on("auto", "/srv")]))
            containers(s, report)
            grows(s, report)
            snapshots(s, report)
            archives(s, report)
            digest = machine(s, report)
            schedule(s, report)
            refusals(s, report)
            s.sh("shop", "root", "sha256sum < /srv/some > /srv/sum && sync")
            starts = int(s.sh("shop", "root", "wc -l < /srv/starts"))
        registry.stop()
        with report.case("with nothing outside that answers, all that was on the node starts"):
            with lab.node("debug", **options, net="user,restrict=on") as node:
                node.wait_line(r"is up, (\d+) services", 120)
                until("the container has started", lambda: int(node.shell("cat /zos/disks/*/volumes/*/data/starts | wc -l")[0]) > starts, 120)
                until("the virtual machine runs", lambda: node.shell("pidof qemu-system-x86_64")[1] == 0, 120)
        with report.case("after the node went down without a word it is the same node, with the same data, and nobody told it anything"):
            with lab.node("debug", **options) as node:
                s.node = node
                until("it is back", lambda: [n["node"] for n in lab.wait_nodes()] == [identity], 120)
                s.wait_state("shop", "root", "ok", 180)
                used = node.shell("grep -A3 '^driver *: xts-aes' /proc/crypto | grep refcnt")[0]
                assert max(map(int, re.findall(r"\d+", used))) > len(drives), f"the processor's own cipher: {used}"
                assert s.sh("shop", "root", "sha256sum < /srv/some | cmp - /srv/sum && cat /srv/word") == "hello\n"
                s.wait_state("vm", "box", "ok", 180)
                assert s.sh("vm", "box", "sha256sum < /srv/db/x").split()[0] == digest
                place = {w: s.state(*w)["device"] for w in (("shop", "data"), ("vm", "disk"))}
                registry.start(registry.port)
                serials = {d["uuid"]: d["serial"] for d in s.disks().values()}
        late(s, report, drives, options, place, serials)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
