"""What a node shows on its screen, as a picture: QEMU's screendump, and PNG without a library."""
import ctypes, os, re, struct, zlib

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


def pixels_of(node):
    """(width, height, RGB bytes) of NODE's screen."""
    ppm = f"{node.dir.name}/screen.ppm"
    node.qmp("screendump", filename=ppm)
    return ppm_read(open(ppm, "rb").read())


def modules(node, size, columns, rows, edge):
    """The code of SIZE modules a side in the upper right of a text screen of COLUMNS and ROWS, EDGE (to its right, above it) modules
    from the corner, as lines of '#' and '.': a character is two modules, one above the other."""
    width, height, pixels = pixels_of(node)
    wide, high = width / columns, height / rows / 2

    def is_dark(x, y):
        at = 3 * (int((y + edge[1] + 0.5) * high) * width + int((columns - size - edge[0] + x + 0.5) * wide))
        return sum(pixels[at:at + 3]) < 3 * 80
    return ["".join("#" if is_dark(x, y) else "." for x in range(size)) for y in range(size)]


def codes_read(node):
    """The texts of all QR codes that a reader finds on NODE's screen: it gets the pixels and nothing else."""
    width, height, pixels = pixels_of(node)
    return codes_in(width, height, bytes((r + g + b) // 3 for r, g, b in zip(pixels[::3], pixels[1::3], pixels[2::3])))


def blocks_read(text, scale=4):
    """The same of what a terminal shows of TEXT, light half blocks on a dark ground."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")
    rows = [[char in light for char in line] for line in lines for light in ("█▀", "█▄")]
    width = max(map(len, rows))
    grey = b"".join(bytes(255 * is_light for is_light in row + [False] * (width - len(row)) for _ in range(scale)) * scale for row in rows)
    return codes_in(width * scale, len(rows) * scale, grey)


def codes_in(width, height, grey):
    zbar = ctypes.CDLL("libzbar.so.0")
    for name in ("zbar_image_scanner_create", "zbar_image_create", "zbar_image_first_symbol", "zbar_symbol_next", "zbar_symbol_get_data"):
        getattr(zbar, name).restype = ctypes.c_void_p
    scanner, image, texts = ctypes.c_void_p(zbar.zbar_image_scanner_create()), ctypes.c_void_p(zbar.zbar_image_create()), []
    zbar.zbar_image_set_format(image, ctypes.c_ulong(int.from_bytes(b"Y800", "little")))
    zbar.zbar_image_set_size(image, width, height)
    zbar.zbar_image_set_data(image, grey, ctypes.c_ulong(len(grey)), None)
    zbar.zbar_scan_image(scanner, image)
    symbol = ctypes.c_void_p(zbar.zbar_image_first_symbol(image))
    while symbol:
        texts.append(ctypes.string_at(zbar.zbar_symbol_get_data(symbol)).decode())
        symbol = ctypes.c_void_p(zbar.zbar_symbol_next(symbol))
    zbar.zbar_image_destroy(image)
    zbar.zbar_image_scanner_destroy(scanner)
    return texts


def shot(node, path):
    """Writes NODE's screen to PATH. Returns its (width, height, number of colours)."""
    width, height, pixels = pixels_of(node)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(png(width, height, pixels))
    return width, height, len({pixels[i:i + 3] for i in range(0, len(pixels), 3)})
