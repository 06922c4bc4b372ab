#!/usr/bin/python3
"""The program `volume` on a real btrfs, in a file: test/net/volume.py CASE, inside tools/enter."""
import errno, os, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import cases

BUILD = os.environ.get("ZOS_BUILD", "build/release")
MIB = 1 << 20


class Disk:
    """A btrfs as a node makes it, mounted until the block ends."""

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="zos-volume-", dir="/run")
        self.at, file = self.dir.name + "/disk", self.dir.name + "/file"
        os.mkdir(self.at)
        with open(file, "wb") as f:
            f.truncate(1024 * MIB)
        subprocess.run(["mkfs.btrfs", "-q", "-O", "squota", file], check=True)
        subprocess.run(["mount", "-o", "loop,noatime", file, self.at], check=True)
        for folder in "volumes", "disks":
            os.mkdir(f"{self.at}/{folder}")
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.at], check=True)
        self.dir.cleanup()

    def volume(self, command, *words):
        """What it prints, word by word; SystemError with its last line where it fails."""
        run = subprocess.run([f"{BUILD}/volume", command, self.at, *map(str, words)], stdout=subprocess.PIPE, text=True, timeout=60)
        if run.returncode:
            raise SystemError(run.stdout.strip().split("\n")[-1])
        return run.stdout.split()

    def refused(self, *words):
        try:
            self.volume(*words)
        except SystemError as e:
            return str(e)
        raise AssertionError(f"{words} was not refused")

    def names(self):
        return sorted(self.volume("list"))


def fill(path, most):
    """Writes until there is no room, at most MOST bytes: how many there was room for."""
    with open(path, "wb", buffering=0) as f:
        try:
            while f.tell() < most:
                f.write(os.urandom(MIB))
                os.fdatasync(f.fileno())
        except OSError as e:
            assert e.errno == errno.EDQUOT, e
        return f.tell()


def usage(file):
    return int(open(file).read())


def volumes():
    with Disk() as d:
        data, counter, _ = d.volume("make-volume", "a.1", 100 * MIB, "new")
        other, *_ = d.volume("make-volume", "b.1", 100 * MIB, "new")
        assert d.names() == ["a.1", "b.1"] and os.stat(data).st_mode & 0o777 == 0o755
        got = fill(f"{data}/x", 200 * MIB)
        assert 90 * MIB <= got <= 100 * MIB, f"{got} bytes fit into 100 MiB"
        assert 90 * MIB <= usage(counter) <= 100 * MIB, usage(counter)
        assert fill(f"{other}/x", 20 * MIB) == 20 * MIB, "the neighbour's room is its own"

        assert d.volume("make-volume", "a.1", 150 * MIB, "there") == [data, counter, "0"], "it grows, and stays where it is"
        assert os.path.getsize(f"{data}/x") == got
        more = fill(f"{data}/y", 200 * MIB)
        assert 40 * MIB <= more <= 60 * MIB, f"{more} more"

        d.volume("remove", "a.1")
        assert d.names() == ["b.1"] and not os.listdir(f"{d.at}/volumes") == []
        d.volume("remove", "a.1")  # once more is fine
        assert "nothing is made in its place" in d.refused("make-volume", "a.1", 100 * MIB, "there")
        assert d.names() == ["b.1"]
        data, counter, _ = d.volume("make-volume", "a.2", 100 * MIB, "new")
        assert os.listdir(data) == [] and usage(counter) < MIB, "a new one is empty"


def snapshots():
    with Disk() as d:
        data, counter, _ = d.volume("make-volume", "a.1", 100 * MIB, "new")
        open(f"{data}/word", "w").write("first")
        d.volume("snapshot", "a.1", "one", 5)
        open(f"{data}/word", "w").write("second")
        assert "already" in d.refused("snapshot", "a.1", "one", 5)
        d.volume("snapshot", "a.1", "two", 5)
        name, at, other, _ = d.volume("snapshots", "a.1")
        assert {name, other} == {"one", "two"} and int(at) > 1700000000, (name, at)
        assert d.volume("restore", "a.1", 100 * MIB, "one")[:2] == [data, counter]
        assert open(f"{data}/word").read() == "first" and sorted(os.listdir(f"{d.at}/volumes/a.1")) == ["data", "snapshots"]
        d.volume("restore", "a.1", 100 * MIB, "two")
        assert open(f"{data}/word").read() == "second", "and back again"
        assert "no snapshot 'three'" in d.refused("restore", "a.1", 100 * MIB, "three")
        assert "no name" in d.refused("restore", "a.1", 100 * MIB, "../data")
        d.volume("forget", "a.1", "one")
        assert "no snapshot 'one'" in d.refused("forget", "a.1", "one")

        # what snapshots keep counts to their volume: 60 MiB, kept, and 60 more are more than 100
        assert fill(f"{data}/x", 60 * MIB) == 60 * MIB
        d.volume("snapshot", "a.1", "full", 5)
        os.unlink(f"{data}/x")
        assert fill(f"{data}/y", 60 * MIB) < 45 * MIB
        os.unlink(f"{data}/y")

        for at in 1000, 1001, 1002, 1003:
            d.volume("snapshot", "a.1", f"auto-{at}", 2)
        assert sorted(d.volume("snapshots", "a.1")[::2]) == ["auto-1002", "auto-1003", "full", "two"], "of its own it keeps the newest"
        assert d.volume("make-volume", "a.1", 100 * MIB, "there") == [data, counter, "1003"], "and knows when the newest was made"
        d.volume("remove", "a.1")
        assert os.listdir(f"{d.at}/volumes") == []


def disks():
    with Disk() as d:
        path, = d.volume("make-disk", "c.1", 100 * MIB, "none", "new")
        assert os.path.getsize(path) == 100 * MIB and os.stat(path).st_blocks * 512 >= 100 * MIB, "its room is there for sure"
        assert "C" in subprocess.run(["lsattr", path], check=True, capture_output=True, text=True).stdout.split()[0], "no copy on write"
        with open(path, "r+b") as f:
            f.write(b"mine")
        d.volume("make-disk", "c.1", 120 * MIB, "none", "there")
        assert os.path.getsize(path) == 120 * MIB and open(path, "rb").read(4) == b"mine", "it grows under what is in it"
        d.volume("make-disk", "c.1", 100 * MIB, "none", "there")
        assert os.path.getsize(path) == 120 * MIB, "and never shrinks"
        for name, kind in ("d.1", "ext4"), ("e.1", "btrfs"):
            path, = d.volume("make-disk", name, 128 * MIB, kind, "new")
            assert subprocess.run(["blkid", "-p", "-o", "value", "-s", "TYPE", path], capture_output=True, text=True).stdout.strip() == kind
        assert d.names() == ["c.1", "d.1", "e.1"]
        d.volume("remove", "c.1")
        assert d.names() == ["d.1", "e.1"]
        assert "nothing is made in its place" in d.refused("make-disk", "c.1", 100 * MIB, "none", "there")
        assert d.names() == ["d.1", "e.1"]
        why = d.refused("make-disk", "f.1", 4096 * MIB, "none", "new")
        assert "make room for" in why and "No space left" in why, why
        assert not os.path.exists(f"{d.at}/disks/f.1") and "f.1" in d.names(), "what did not fit has a passing name"
        d.volume("remove", "f.1")
        assert sorted(os.listdir(f"{d.at}/disks")) == ["d.1", "e.1"], "and leaves nothing"


def crashes():
    """What a crash leaves half made or half removed has a passing name, is no volume, and is gone after the next try."""
    with Disk() as d:
        data, *_ = d.volume("make-volume", "a.1", 100 * MIB, "new")
        os.rename(f"{d.at}/volumes/a.1", f"{d.at}/volumes/a.1.new")
        assert "nothing is made" in d.refused("make-volume", "a.1", 100 * MIB, "there"), "half a volume is none"
        open(f"{d.at}/volumes/a.1.new/data/half", "w").close()
        d.volume("make-volume", "a.1", 100 * MIB, "new")
        assert os.listdir(data) == [] and os.listdir(f"{d.at}/volumes") == ["a.1"]
        subprocess.run(["btrfs", "-q", "subvolume", "snapshot", data, f"{d.at}/volumes/a.1/snapshots/1"], check=True)
        os.rename(f"{d.at}/volumes/a.1", f"{d.at}/volumes/a.1.gone")
        d.volume("remove", "a.1")
        assert os.listdir(f"{d.at}/volumes") == []
        open(f"{d.at}/disks/c.1.new", "w").close()
        d.volume("make-disk", "c.1", 100 * MIB, "ext4", "new")
        assert os.listdir(f"{d.at}/disks") == ["c.1"]


def words():
    with Disk() as d:
        d.volume("make-volume", "a.1", 100 * MIB, "new")
        for name in "../a", "a/b", ".", "..", "", "A", "a" * 64, ".hidden":
            assert "is no name" in d.refused("make-volume", name, 100 * MIB, "new"), name
        assert "no size" in d.refused("make-volume", "b.1", "-1", "new")
        assert "neither" in d.refused("make-volume", "b.1", 100 * MIB, "perhaps")
        assert "no format" in d.refused("make-disk", "b.1", 100 * MIB, "vfat", "new")
        assert "is called by noded" in d.refused("format", "b.1")
        assert os.listdir(f"{d.at}/volumes") == ["a.1"] and not os.path.exists(f"{d.at}/disks/b.1")


cases.run({f.__name__: f for f in (volumes, snapshots, disks, crashes, words)})
