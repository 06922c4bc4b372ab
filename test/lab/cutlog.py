"""The power fails: QEMU's record of what was written to a disk (blklogwrites), played back up to a moment, without what no flush had covered.

    disk = Disk(f"{lab.dir}/disk", SIZE)
    with lab.node(extra=disk.arguments()): ...
    replay(list(disk.entries()), cut, path, SIZE, random.Random(seed))
"""
import struct

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
        return ["-blockdev", f"driver=file,filename={self.path},node-name=disk", "-blockdev", f"driver=file,filename={self.log},node-name=log",
                "-blockdev", "driver=blklogwrites,file=disk,log=log,log-super-update-interval=1,node-name=cut",
                "-device", f"virtio-blk-pci,drive=cut,serial={self.serial}"]

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
