"""What a node shows on its screen, as a picture: QEMU's screendump, and PNG without a library."""
import os, struct, zlib

VGA = ["-vga", "std"]


def ppm_read(data):
    """(width, height, RGB bytes) of a binary PPM, as QEMU writes it: P6, size, 255, each on a line."""
    kind, size, depth, pixels = data.split(b"\n", 3)
    assert kind == b"P6" and depth == b"255", (kind, depth)
    width, height = map(int, size.split())
    return width, height, pixels


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, pixels):
    """A PNG of at most 256 colours with a palette: a text screen has sixteen."""
    colours = sorted({pixels[i:i + 3] for i in range(0, len(pixels), 3)})
    number = {c: bytes([i]) for i, c in enumerate(colours)}
    rows = b"".join(b"\0" + b"".join(number[pixels[i:i + 3]] for i in range(y * width * 3, (y + 1) * width * 3, 3)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)) +
            chunk(b"PLTE", b"".join(colours)) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def shot(node, path):
    """Writes NODE's screen to PATH. Returns its (width, height, number of colours)."""
    ppm = f"{node.dir.name}/screen.ppm"
    node.qmp("screendump", filename=ppm)
    width, height, pixels = ppm_read(open(ppm, "rb").read())
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(png(width, height, pixels))
    return width, height, len({pixels[i:i + 3] for i in range(0, len(pixels), 3)})
