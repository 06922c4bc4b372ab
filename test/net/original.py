"""Writes what 0-db 2.0.7 leaves on a disk: data files of version 3, index files of version 4, settings. By the facts of its formats, byte by byte."""
import os, struct

POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
MODES = {"user": 0, "seq": 1, "direct": 2}
DATA_HEAD, INDEX_HEAD = 28, 29
DELETED = 1

TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (POLYNOMIAL if n & 1 else 0)
    TABLE.append(n)


def crc(data):
    """As 0-db computes it: it begins with 0 and is not inverted at the end."""
    value = 0
    for byte in data:
        value = value >> 8 ^ TABLE[(value ^ byte) & 255]
    return value


assert crc(b"1") == 0xC288CAB2 and crc(b"hello") == 0xDF03CD79


class Namespace:
    """One namespace below the folders DATA and INDEX; jump() begins the next pair of files."""

    def __init__(self, data, index, name, mode="user", password=b"", public=False, worm=False, maxsize=0, described=True):
        self.data, self.index, self.mode = f"{data}/{name}", f"{index}/{name}", MODES[mode]
        for folder in (self.data, self.index):
            os.makedirs(folder)
        for root in (data, index):
            open(f"{root}/.lockfile", "a").close()
        self.file, self.last_key, self.parents = -1, 0, {}
        self.jump()
        if described:
            flags = 1 * public | 2 * worm | 4
            with open(f"{self.index}/zdb-namespace", "wb") as f:
                f.write(struct.pack("<IBBQB", 1, len(name), len(password), maxsize, flags) + name.encode() + password)

    def jump(self):
        self.file += 1
        self.last_data = self.last_index = 0
        with open(f"{self.data}/d{self.file}", "wb") as f:
            f.write(b"DAT0" + struct.pack("<IQQI", 3, 0, 0, self.file))
        with open(f"{self.index}/i{self.file}", "wb") as f:
            f.write(b"IDX0" + struct.pack("<IQQIB", 4, 0, 0, self.file, self.mode))

    def put(self, key, value, when, flags=0):
        with open(f"{self.data}/d{self.file}", "ab") as f:
            offset, check = f.tell(), crc(value)
            f.write(struct.pack("<BIIIBI", len(key), len(value), self.last_data, check, flags, when) + key + value)
        with open(f"{self.index}/i{self.file}", "ab") as f:
            at = f.tell()
            parent = self.parents.get(key, (0, 0))
            f.write(struct.pack("<BIIIBIIIII", len(key), offset, len(value), self.last_index, flags, self.file, when, check, *parent) + key)
        self.last_data, self.last_index, self.parents[key] = offset, at, (self.file, at)

    def set(self, key, value, when):
        self.put(key, value, when)

    def delete(self, key, when):
        self.put(key, b"", when, DELETED)

    def count(self, value, when):
        """A key of a namespace that counts them."""
        key = self.last_key.to_bytes(8, "little")
        self.last_key += 1
        self.put(key, value, when)
        return key
