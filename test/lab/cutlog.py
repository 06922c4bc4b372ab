"""The power fails: QEMU's record of what was written to a disk (blklogwrites), played back up to a moment, without what no flush had covered.

    disk = Disk(f"{lab.dir}/disk", SIZE)
    with lab.node(extra=disk.arguments()): ...
    disk.replay(list(disk.entries()), cut, path, SIZE, random.Random(seed))

Of several disks each has a record of its own; Moments knows how far each was at one instant.
"""
import contextlib, struct, threading

LOOK_S = 0.003  # between two looks how far they are

FLUSH, FUA, DISCARD = 1, 2, 4


def make(path, size):
    with open(path, "wb") as f:
        f.truncate(size)
    return path


class Disk:
    """A blank disk whose writes are recorded. SERIAL: as the node sees it."""

    def __init__(self, path, size, serial="cut"):
        self.path, self.log, self.serial = make(path, size), f"{path}.log", serial
        open(self.log, "wb").close()

    def arguments(self):
        name = self.serial
        return ["-blockdev", f"driver=file,filename={self.path},node-name={name}-disk", "-blockdev", f"driver=file,filename={self.log},node-name={name}-log",
                "-blockdev", f"driver=blklogwrites,file={name}-disk,log={name}-log,log-super-update-interval=1,node-name={name}",
                "-device", f"virtio-blk-pci,drive={name},serial={name}"]

    def plugged(self, path):
        """What was played back to PATH, as the same disk."""
        return ["-drive", f"file={path},if=none,format=raw,id={self.serial}", "-device", f"virtio-blk-pci,drive={self.serial},serial={self.serial}"]

    def count(self):
        """How many writes there were so far."""
        with open(self.log, "rb") as f:
            magic, version, count, _ = struct.unpack("<QQQI", f.read(28))
        assert (magic, version) == (0x6a736677736872, 1), (magic, version)
        return count

    def entries(self):
        """(offset, bytes, flags, where its data lies) of each write, as Documentation/admin-guide/device-mapper/log-writes.rst has them."""
        with open(self.log, "rb") as f:
            count, sector = struct.unpack("<16xQI", f.read(28))
            f.seek(sector)
            for _ in range(count):
                at, n, flags, _ = struct.unpack("<QQQQ", f.read(sector)[:32])
                data = 0 if flags & DISCARD else n * sector
                yield at * sector, n * sector, flags, f.tell()
                f.seek(data, 1)

    def data(self, entry):
        """What one of the entries wrote."""
        _, n, flags, where = entry
        with open(self.log, "rb") as f:
            f.seek(where)
            return b"" if flags & DISCARD else f.read(n)

    def replay(self, log, cut, path, size, chance):
        """A disk as it is when the power fails behind the first CUT of the writes LOG."""
        safe = max((i + 1 for i, e in enumerate(log[:cut]) if e[2] & FLUSH), default=0)
        with open(make(path, size), "r+b") as f, open(self.log, "rb") as data:
            for i, (at, n, flags, where) in enumerate(log[:cut]):
                if i >= safe and not flags & FUA and chance.random() < 0.5:
                    continue
                f.seek(at)
                data.seek(where)
                f.write(bytes(n) if flags & DISCARD else data.read(n))
        return path


class Moments:
    """How many writes there were on each of DISKS, again and again while a machine writes to them: those of one moment belong together."""

    def __init__(self, disks):
        self.disks, self.all = disks, []

    def now(self):
        """Counts never go back: what two looks in a row agree on was so at one instant between them."""
        while (seen := [d.count() for d in self.disks]) != [d.count() for d in self.disks]:
            pass
        return tuple(seen)

    @contextlib.contextmanager
    def watched(self):
        """Notes each change in here, as ALL."""
        end = threading.Event()

        def look():
            while not end.wait(LOOK_S):
                if (seen := self.now()) != (self.all or [None])[-1]:
                    self.all.append(seen)
        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield
        finally:
            end.set()
            watcher.join()
