#!/usr/bin/python3
"""The program `volume` on a real btrfs, in a file: test/net/volume.py CASE, inside tools/enter."""
import base64, errno, glob, hashlib, io, json, os, re, socket, stat, struct, subprocess, sys, tarfile, tempfile, time

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
        subprocess.run(["mount", "-o", "loop,noatime,max_inline=0", file, self.at], check=True)
        for folder in "volumes", "disks":
            os.mkdir(f"{self.at}/{folder}")
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.at], check=True)
        self.dir.cleanup()

    def check(self):
        """As the node does each minute: `disk check`, which finds the disk where the node has it."""
        uuid, zos = "00000000-0000-4000-8000-000000000000", f"{self.dir.name}/zos"
        os.makedirs(f"{zos}/disks/{uuid}", exist_ok=True)
        program = os.open(f"{BUILD}/disk", os.O_RDONLY)  # it lies where that will be
        words = f"mount --bind {self.at} {zos}/disks/{uuid} && mount --rbind {zos} /zos && exec /proc/self/fd/{program} check --name=x --seq=1 --uuid={uuid}"
        run = subprocess.run(["unshare", "-m", "sh", "-c", words], stdout=subprocess.PIPE, text=True, timeout=120, pass_fds=[program])
        os.close(program)
        assert run.returncode == 0 and '"outcome":"done"' in run.stdout, run
        return json.loads(run.stdout)["care"]

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


class Stream:
    """The program with one end of a socket as its standard input, the other here."""

    def __init__(self, disk, command, *words):
        self.sock, its = socket.socketpair()
        self.run = subprocess.Popen([f"{BUILD}/volume", command, disk.at, *words], stdin=its, stdout=subprocess.PIPE, text=True)
        its.close()

    def end(self):
        """Its last words; SystemError with them where it failed."""
        said = self.run.communicate(timeout=60)[0].strip()
        self.sock.close()
        if self.run.returncode:
            raise SystemError(said.split("\n")[-1])
        return said


def exported(disk, name, snapshot=""):
    """(the archive, what is said of what it lacks): out of frames, as zos reads them."""
    s = Stream(disk, "export", name, snapshot)
    archive, said, total = bytearray(), "", None
    read = s.sock.makefile("rb").read
    while head := read(4):
        kind, _, n = struct.unpack("<BBH", head)
        data = read(n)
        if kind == 16:
            archive += data
        elif kind == 17:
            said += data.decode()
        elif kind == 21:
            assert total is None and not archive, "it is said first, and once"
            total, = struct.unpack("<Q", data)
        else:
            assert (kind, data) == (19, bytes(4)), (kind, data)
    s.end()
    assert total == len(archive), (total, len(archive))
    return bytes(archive), said


def imported(disk, name, archive):
    """Sends ARCHIVE, and puts it in the place of what is there. How much was left out."""
    s = Stream(disk, "import", name)
    try:
        s.sock.sendall(archive)
    except BrokenPipeError:
        pass  # it says why
    s.sock.shutdown(socket.SHUT_WR)
    left_out = int(s.end())
    disk.volume("restore", name, 100 * MIB, "/imported")
    return left_out


def tar(*entries, end=True):
    """An archive of what is no file on any disk: (name, kind, {more})."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, kind, more in entries:
            info, data = tarfile.TarInfo(name), more.pop("data", b"")
            info.type, info.size, info.mode = kind, len(data), 0o644
            for key, value in more.items():
                setattr(info, key, value)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue() if end else out.getvalue().rstrip(b"\0")


def look(top):
    """All that is in TOP: name -> what it is."""
    seen = {}
    for folder, dirs, files in os.walk(top):
        for name in [""] + [d for d in dirs if os.path.islink(f"{folder}/{d}")] + files:
            path = f"{folder}/{name}".rstrip("/")
            st = os.lstat(path)
            what = os.readlink(path) if stat.S_ISLNK(st.st_mode) else open(path, "rb").read() if stat.S_ISREG(st.st_mode) else None
            attributes = {x: os.getxattr(path, x, follow_symlinks=False) for x in os.listxattr(path, follow_symlinks=False)}
            links = st.st_nlink if stat.S_ISREG(st.st_mode) else 0
            seen[path.removeprefix(top)] = (oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns, links, what, attributes)
    return seen


def furnish(data):
    """Some of everything, below DATA."""
    os.mkdir(f"{data}/dir", 0o750)
    with open(f"{data}/dir/file", "wb") as f:
        f.write(b"hello")
    os.chown(f"{data}/dir/file", 1000, 65535)
    os.chmod(f"{data}/dir/file", 0o4755)
    os.setxattr(f"{data}/dir/file", "user.note", b"line\nand = \0")
    os.setxattr(f"{data}/dir", "user.empty", b"")
    os.link(f"{data}/dir/file", f"{data}/again")
    os.symlink("/etc/passwd", f"{data}/out")
    os.symlink("x" * 300, f"{data}/far")
    os.mkfifo(f"{data}/dir/fifo", 0o600)
    deep = data + "/" + "/".join("d" * 200 for _ in range(5))
    os.makedirs(deep)
    with open(f"{deep}/{'n' * 255}", "w") as f:
        f.write("far down")
    with open(f"{data}/holes", "wb") as f:
        f.truncate(16 * MIB)
        f.seek(8 * MIB)
        f.write(b"in the middle")
    for path in (f"{data}/dir/file", f"{data}/dir", data):
        os.utime(path, ns=(1700000000123456789, 1600000000987654321))


def archives():
    """What goes out as an archive comes back as it was, whoever packs or unpacks it; what breaks off on the way changes nothing."""
    with Disk() as d:
        data, *_ = d.volume("make-volume", "a.1", 100 * MIB, "new")
        other, *_ = d.volume("make-volume", "b.1", 100 * MIB, "new")
        furnish(data)
        was = look(data)
        archive, said = exported(d, "a.1")
        assert not said and sorted(os.listdir(f"{d.at}/volumes/a.1")) == ["data", "snapshots"], "the copy is gone"
        assert imported(d, "b.1", archive) == 0
        d.volume("restore", "b.1", 100 * MIB, "/imported")  # whoever does not know that it was done asks once more, and nothing changes
        now = look(other)
        assert now == was, [(k, was.get(k), now.get(k)) for k in was.keys() | now.keys() if was.get(k) != now.get(k)]
        assert os.stat(f"{other}/holes").st_blocks * 512 < MIB, "holes are holes again"
        assert os.stat(f"{other}/again").st_ino == os.stat(f"{other}/dir/file").st_ino
        with tempfile.TemporaryDirectory(dir="/run") as at:  # others read it, and write what is taken
            subprocess.run(["tar", "-C", at, "--xattrs", "-xpf", "-"], input=archive, check=True)
            assert {k: v[:4] + v[5:6] for k, v in look(at).items()} == {k: v[:4] + v[5:6] for k, v in was.items()}
            packed = subprocess.run(["tar", "-C", at, "--xattrs", "--format=pax", "-cf", "-", "."], stdout=subprocess.PIPE, check=True).stdout
            assert imported(d, "b.1", packed) == 0 and {k: v[:6] for k, v in look(other).items()} == {k: v[:6] for k, v in was.items()}
            packed = subprocess.run(["tar", "-C", at, "--format=gnu", "-cf", "-", "."], stdout=subprocess.PIPE, check=True).stdout
            assert imported(d, "b.1", packed) == 0 and look(other)["/dir/file"][5] == b"hello"
        d.volume("snapshot", "a.1", "then", 1 << 60)
        os.unlink(f"{data}/again")
        assert {m.name for m in tarfile.open(fileobj=io.BytesIO(exported(d, "a.1", "then")[0]))} > {"dir/file"}
        then = {m.name for m in tarfile.open(fileobj=io.BytesIO(exported(d, "a.1", "then")[0]))}
        assert then - {m.name for m in tarfile.open(fileobj=io.BytesIO(exported(d, "a.1")[0]))} == {"again"}
        for cut in (0, 100, len(archive) // 2, len(archive) - 1025):
            s = Stream(d, "import", "b.1")
            s.sock.sendall(archive[:cut])
            s.sock.shutdown(socket.SHUT_WR)
            try:
                s.end()
                raise AssertionError(f"{cut} bytes passed for all")
            except SystemError as e:
                assert "breaks off before its end" in str(e), e
            assert look(other)["/dir/file"][5] == b"hello" and sorted(os.listdir(f"{d.at}/volumes/b.1")) == ["data", "snapshots"]
        full = tar(("large", tarfile.REGTYPE, {"data": os.urandom(120 * MIB)}))
        try:
            imported(d, "b.1", full)
            raise AssertionError("120 MiB fit into 100")
        except SystemError as e:
            assert "has no room for 'large'" in str(e), e
        assert look(other)["/dir/file"][5] == b"hello"
        os.mknod(f"{data}/device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        archive, said = exported(d, "a.1")
        assert said.startswith("1 sockets, devices or attributes were left out") and b"device" not in archive
        s = Stream(d, "export", "a.1", "never")
        assert b"there is no snapshot 'never'" in s.sock.makefile("rb").read()


def hostile():
    """An archive of somebody who wants out: each beside one of its kind that is taken."""
    with Disk() as d, tempfile.TemporaryDirectory(dir="/run") as outside:
        data, *_ = d.volume("make-volume", "a.1", 100 * MIB, "new")
        F, L, H, D = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
        evil = {"data": b"evil"}
        good = [
            ("a file", [("f", F, evil)]),
            ("a link that leads out", [("l", L, {"linkname": outside})]),
            ("a link in the place of a file, and a file in the place of a link", [("f", F, evil), ("f", L, {"linkname": "x"}), ("f", F, evil)]),
            ("a directory twice", [("d", D, {}), ("d/f", F, evil), ("d", D, {"mode": 0o700})]),
            ("another name", [("f", F, evil), ("h", H, {"linkname": "f"})]),
            ("another name of a link", [("l", L, {"linkname": "/etc/passwd"}), ("h", H, {"linkname": "l"})]),
        ]
        bad = [
            ("climbs out", [("../f", F, evil)], "'..' in it"),
            ("begins at the root", [(f"{outside}/f", F, evil)], "begins with '/'"),
            ("through a link", [("l", L, {"linkname": outside}), ("l/f", F, evil)], "behind a link or a file"),
            ("through a link to a directory in it", [("d", D, {}), ("l", L, {"linkname": "d"}), ("l/f", F, evil)], "behind a link or a file"),
            ("through a file", [("f", F, evil), ("f/f", F, evil)], "behind a link or a file"),
            ("another name of what is outside", [("h", H, {"linkname": "../../disk/f"})], "'..' in it"),
            ("another name, through a link", [("l", L, {"linkname": outside}), ("h", H, {"linkname": "l/secret"})], "behind a link or a file"),
            ("another name of nothing", [("h", H, {"linkname": "f"})], "did not come before it"),
            ("a directory becomes a link", [("d", D, {}), ("d", L, {"linkname": outside})], "make 'd'"),
            ("somebody else's", [("f", F, {"uid": 1 << 20, **evil})], "belongs to 1048576:0"),
        ]
        open(f"{outside}/secret", "w").close()
        before = os.listdir(outside)
        for what, entries in good:
            assert imported(d, "a.1", tar(*[(n, k, dict(m)) for n, k, m in entries])) == 0, what
            assert sorted(look(data)) == sorted({""} | {"/" + n for n, _, _ in entries}), (what, look(data))
        for what, entries, why in bad:
            try:
                imported(d, "a.1", tar(*[(n, k, dict(m)) for n, k, m in entries]))
                raise AssertionError(f"{what}: it was taken")
            except SystemError as e:
                assert why in str(e), (what, e)
            assert os.listdir(outside) == before and sorted(os.listdir(f"{d.at}/volumes/a.1")) == ["data", "snapshots"], what
        assert sorted(look(data)) == ["", "/h", "/l"], "what was there last is still there"
        device = {"devmajor": 1, "devminor": 3}
        assert imported(d, "a.1", tar(("f", F, dict(evil)), ("null", tarfile.CHRTYPE, device), ("disk", tarfile.BLKTYPE, dict(device)))) == 2
        assert sorted(look(data)) == ["", "/f"]
        attributes = {"pax_headers": {"SCHILY.xattr.user.fine": "1", "SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.security.selinux": "x"}}
        assert imported(d, "a.1", tar(("f", F, {**evil, **attributes}))) == 2 and os.listxattr(f"{data}/f") == ["user.fine"]
        for noise in (b"x" * 2000, os.urandom(4096), b"\0" * 512):
            try:
                imported(d, "a.1", noise)
                raise AssertionError("noise was taken for an archive")
            except SystemError as e:
                assert "no tar archive" in str(e) or "breaks off" in str(e), e
        assert imported(d, "a.1", tar()) == 0 and list(look(data)) == [""], "an empty archive is an empty volume"


def used(at):
    """What is taken of a btrfs, its own books and their second copy among it: bytes."""
    text = subprocess.run(["btrfs", "filesystem", "usage", "-b", at], check=True, capture_output=True, text=True).stdout
    return int(re.search(r"^ +Used:\s+(\d+)", text, re.M)[1])


def keep(folder, name, value):
    """A value as the node keeps it (doc/state.md)."""
    path = f"{folder}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "wb") as f:
        f.write(f"zos-state 1 1 {len(value)} {hashlib.sha256(value).hexdigest()}\n".encode() + value)
        os.fsync(f.fileno())
    os.rename(f"{path}.new", path)
    fd = os.open(os.path.dirname(path), os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def deployment_keep(folder, n, document):
    """All that is kept of one deployment of a machine and a volume."""
    id = hashlib.sha256(str(n).encode()).hexdigest()
    keep(folder, f"deployments/U{'A' * 55}/name-{n}", document)
    keep(folder, f"placed/{id[:16]}", f"made {'x' * 36} {id[:16]}.1 U{'A' * 55} name-{n} data".encode())
    keep(folder, f"resolved/{id[16:32]}", f"{id[:16]} sha256:{id}".encode())
    keep(folder, f"holds/{id[16:32]}", b"stopped")
    with open(f"{folder}/.nonces", "ab") as f:
        f.write(os.urandom(24) * 2)
        f.flush()
        os.fsync(f.fileno())


def rooms(d):
    """With images as large as they may be: how many volumes of 100 MiB may be promised beside them."""
    bytes = os.path.getsize(f"{d.dir.name}/file")
    subprocess.run(["fallocate", "-l", str(bytes // 8), f"{d.at}/images"], check=True)
    return (bytes - 256 * MIB - bytes // 8) // (100 * MIB)  # place.c, image.h


def promised(d, small, size):
    """All that may be promised of the disk is, to volumes that are full, each with SMALL files of SIZE bytes and a large one."""
    for i in range(rooms(d)):
        data, *_ = d.volume("make-volume", f"v{i}.1", 100 * MIB, "new")
        os.mkdir(f"{data}/small")
        for n in range(small):
            with open(f"{data}/small/{n}", "wb") as f:
                f.write(os.urandom(size))
        fill(f"{data}/large", 100 * MIB)


def narrow():
    """Volumes of nothing but names, and what fills them, leave the file system's books no room; each look at the disk makes some."""
    def keeps():
        try:
            for n in range(200):
                deployment_keep(f"{d.at}/state", n, b"x" * 2000)
            return True
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
            return False
    with Disk() as d:
        promised(d, 20000, 0)
        assert not (keeps() and keeps()), "there is room: nothing is shown"
        d.check()
        assert all(keeps() for _ in range(3))
        assert not d.check()["scarce"], "there is nothing to do, and nothing to say"


LINK = "x" * 4000  # lies in the books, whole


def links(folder, most):
    """At most so many more. Returns how many there was room for, and why for no more."""
    for n in range(most):
        try:
            os.symlink(LINK, f"{folder}/{time.monotonic_ns()}")
        except OSError as e:
            return n, e.errno
    return most, 0


def empty(*folders):
    for folder in folders:
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
    os.sync()


def copies():
    """A volume that is looked at while it grows comes to its size with both copies of what it has in books, which leaves room for everybody else's."""
    with Disk() as d:
        datas = [d.volume("make-volume", f"v{i}.1", 100 * MIB, "new")[0] for i in range(rooms(d))]
        why = dict.fromkeys(datas, 0)
        many = dict.fromkeys(datas, 0)
        while not all(why.values()):
            for data in datas:
                n, why[data] = links(data, 2000)
                many[data] += n
            assert not d.check()["scarce"]
        assert set(why.values()) == {errno.EDQUOT}, why
        assert all(9000 < n < 15000 for n in many.values()), list(many.values())  # half of 100 MiB is 13000 pages, as each lies in one; a batch came too late
        for n in range(200):
            deployment_keep(f"{d.at}/state", n, b"x" * 2000)
        empty(datas[0])
        d.check()
        assert fill(f"{datas[0]}/data", 200 * MIB) > 90 * MIB, "what is data has a copy no more"
        d.volume("make-volume", "v1.1", 200 * MIB, "there")
        assert links(datas[1], 2000) == (2000, 0), "a larger one has room again"


def scarce():
    """Volumes that become all books between two looks take up to twice their size: the disk says so, and is well again when some of it is removed."""
    with Disk() as d:
        datas = [d.volume("make-volume", f"v{i}.1", 100 * MIB, "new")[0] for i in range(rooms(d))]
        why = [links(data, 1 << 20)[1] for data in datas]
        assert why[0] == errno.EDQUOT and errno.ENOSPC in why and d.check()["scarce"], why
        empty(*datas[:2])
        assert not d.check()["scarce"]
        assert links(datas[2], 2000)[1] == errno.EDQUOT, "it has all that it may"


def reserve():
    """A disk on which all is promised that can be, and all of that is full, takes the node's state: that of as many deployments as a node holds at most."""
    envelope = base64.b64encode(max((open(p, "rb").read() for p in glob.glob("examples/*.json")), key=len)) + b"x" * 400  # signatures and names
    with Disk() as d:
        size = os.path.getsize(f"{d.dir.name}/file")
        promised(d, 3000, 1500)
        full = used(d.at)
        for many in 200, 1000:
            before = used(d.at)
            for n in range(many):
                deployment_keep(f"{d.at}/state", n, envelope)
            print(f"# {many} deployments of {len(envelope)} bytes take {(used(d.at) - before) / MIB:.1f} MiB of a disk of {size // MIB} MiB with {full / MIB:.0f} MiB in use", flush=True)
        for n in range(200):  # and again: what takes the place of a file is there beside it for a moment
            deployment_keep(f"{d.at}/state", n, envelope)


cases.run({f.__name__: f for f in (volumes, snapshots, disks, crashes, words, archives, hostile, reserve, narrow, copies, scarce)})
