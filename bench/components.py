"""What an image of the OS is made of: each file belongs to the first component that it fits, and each is packed alone as the whole is, so that
what is said of compression was measured: the sum is nearly the image."""
import copy, fnmatch, importlib.machinery, os, sys, tempfile

sys.path.append("os")
make_image = importlib.machinery.SourceFileLoader("make_image", "os/make-image").load_module()

QEMU = "usr/bin/qemu-system-x86_64"
BINS = ("usr/bin/*", "usr/sbin/*", "usr/lib/*/*")


def is_elf(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def closure(root, programs):
    """Paths in ROOT of the libraries that PROGRAMS need."""
    where = {os.path.basename(p): p for p in files(root) if ".so" in os.path.basename(p)}
    todo, found = list(programs), set()
    while todo:
        for name in make_image.needed(f"{root}/{todo.pop()}"):
            if name in where and where[name] not in found:
                found.add(where[name])
                todo.append(where[name])
    return found


def files(root):
    return [os.path.relpath(f"{at}/{name}", root) for at, _, names in os.walk(root) for name in names if not os.path.islink(f"{at}/{name}")]


def ours(path):
    return os.path.isfile(f"build/release/{os.path.basename(path)}")


def sort(root):
    """Component -> its files."""
    all = files(root)
    programs = [p for p in all if any(fnmatch.fnmatch(p, b) for b in BINS) and ".so" not in p and is_elf(f"{root}/{p}")]
    for_qemu = closure(root, [QEMU]) - closure(root, [p for p in programs if p != QEMU])
    kinds = [("kernel modules", lambda p: p.startswith("usr/lib/modules/")),
             ("firmware and microcode", lambda p: p.startswith("usr/lib/firmware/")),
             ("virtual machines: kernel, archive, modules", lambda p: p.startswith("usr/lib/zos/guest/")),
             ("virtual machines: QEMU, its libraries and ROMs", lambda p: p == QEMU or p in for_qemu or p.startswith(("usr/share/seabios/", "usr/share/qemu/"))),
             ("our programs", lambda p: p in programs and ours(p)),
             ("other programs", lambda p: p in programs),
             ("other libraries", lambda p: ".so" in os.path.basename(p)),
             ("the rest", lambda p: True)]
    found = {name: [] for name, _ in kinds}
    for path in all:
        found[next(name for name, fits in kinds if fits(path))].append(path)
    return found


def packed(image, paths):
    """Bytes of PATHS of what IMAGE is made from, as the image would hold them."""
    part = copy.copy(image)
    with tempfile.TemporaryDirectory(dir="build") as folder:
        part.stage = f"{folder}/tree"
        for path in paths:
            os.link(f"{image.stage}/{path}", part.at(f"/{path}"))
        make_image.pack(part, f"{folder}/erofs", make_image.FLAVOURS[image.flavour][1])
        return os.path.getsize(f"{folder}/erofs")


def table(flavour):
    """Lines of a table about the image of FLAVOUR, the largest first."""
    with tempfile.TemporaryDirectory(dir="build") as stage:
        image = make_image.Image(flavour, "build/release", stage)
        image.build()
        rows = [(name, len(paths), sum(os.path.getsize(f"{stage}/{p}") for p in paths), packed(image, paths))
                for name, paths in sort(stage).items() if paths]
    image = f"build/image/{flavour}"
    kernel = os.path.getsize(f"{image}/vmlinuz")
    rows.append(("kernel", 1, kernel, kernel))
    whole = sum(os.path.getsize(f"{image}/{f}") for f in ("vmlinuz", "initrd.img"))
    rows = sorted(rows, key=lambda r: -r[3]) + [("all of it; the image", sum(r[1] for r in rows), sum(r[2] for r in rows), whole)]
    return ["| component | files | MB | MB in the image |", "| --- | --- | --- | --- |",
            *(f"| {name} | {n} | {size / 1e6:.1f} | {small / 1e6:.1f} |" for name, n, size, small in rows)]
