#!/usr/bin/python3
"""The same sources give the same programs and the same image, bit for bit: they are laid out a second time, at another path, with other
times and files made in another order (SEED repeats one), compiled there and packed on another file system, and all files are compared.
FLAVOURS names the images; the programs are built anew in any case."""
import filecmp, os, random, shutil, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from qemu import Report

FLAVOURS = os.environ.get("FLAVOURS", "debug").split()
SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))
SOURCES = ("meson.build", "meson.options", "src", "os", "fuzz", "test", "bench", "examples")
OTHER_TIME_S = 1_000_000_000


def files_below(top):
    return [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names if "__pycache__" not in folder]


def lay_out(to):
    """A second checkout below TO."""
    files = [f for top in SOURCES for f in ([top] if os.path.isfile(top) else files_below(top))]
    random.Random(SEED).shuffle(files)
    for path in files:
        os.makedirs(os.path.dirname(f"{to}/{path}"), exist_ok=True)
        shutil.copy(path, f"{to}/{path}")
        os.utime(f"{to}/{path}", (OTHER_TIME_S, OTHER_TIME_S))


def run(*command, cwd, **more):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=dict(os.environ, **more))
    assert done.returncode == 0, f"{' '.join(command)}: {(done.stdout + done.stderr)[-2000:]}"


def programs(top):
    """Names of what was linked, without the unit tests, which know the path of their data."""
    return sorted(f.name for f in os.scandir(f"{top}/build/release")
                  if f.is_file() and not f.name.endswith("_test") and open(f, "rb").read(4) == b"\x7fELF")


def differ(names, ours, theirs):
    return [n for n in names if not filecmp.cmp(f"{ours}/{n}", f"{theirs}/{n}", shallow=False)]


def main():
    report = Report(f"SEED={SEED} FLAVOURS='{' '.join(FLAVOURS)}' make node T=reproduce")
    print(f"     seed {SEED}")
    # the copy lies in memory, and packs what was unpacked on the disk: names come in another order there
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as top, tempfile.TemporaryDirectory(dir="build", prefix="stage-") as stage:
        other = f"{top}/another/checkout"
        with report.case("programs: the same bytes from another checkout"):
            lay_out(other)
            run("meson", "setup", "build/release", "--buildtype=release", cwd=other)
            run("ninja", "-C", "build/release", "--quiet", cwd=other)
            names = programs(".")
            assert {"init", "noded", "gridd", "zos"} <= set(names) and names == programs(other), (names, programs(other))
            changed = differ(names, "build/release", f"{other}/build/release")
            assert not changed, changed
        for flavour in FLAVOURS:
            with report.case(f"{flavour}: the same image from another checkout"):
                run("os/make-image", flavour, cwd=other, TMPDIR=os.path.abspath(stage))
                ours, theirs = f"build/image/{flavour}", f"{other}/build/image/{flavour}"
                names = sorted(os.listdir(ours))
                assert "root.erofs" in names and names == sorted(os.listdir(theirs)), (names, os.listdir(theirs))
                changed = differ(names, ours, theirs)
                assert not changed, changed
    return report.end()


sys.exit(main())
