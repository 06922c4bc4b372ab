#!/usr/bin/python3
"""The program `panics` over a store that is like the firmware's: test/net/panics.py CASE, inside tools/enter."""
import os, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import cases

PROGRAM = os.environ.get("ZOS_BUILD", "build/release") + "/panics"
STORE = "/sys/fs/pstore"


def run(folder):
    """What it says with FOLDER as the store, in a mount namespace of its own."""
    script = f'mount --bind "{folder}" {STORE} && exec {PROGRAM}'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr.splitlines()


def told():
    with tempfile.TemporaryDirectory(prefix="zos-panics-", dir="/run") as folder:
        assert run(folder) == (0, [])
        for name, text in {"dmesg-1": "Panic#1 Part2\n<6>[    1.0] first line\n<6>[    2.0] bell \x07 and more\n",
                           "dmesg-2": "Panic#1 Part1\n<0>[    3.0] Kernel panic - not syncing: the disk caught fire\n<4>[    3.1] last line\n",
                           "other": "nobody's words\n"}.items():
            with open(f"{folder}/{name}", "w") as f:
                f.write(text)
        status, lines = run(folder)
        said = [line.split(": ", 1)[1] for line in lines]
        assert status == 0 and said[:2] == ["first line", "bell ? and more"], lines
        assert "the disk caught fire" in said[2] and said[3] == "last line", lines
        assert lines[4].startswith("<3>") and "the kernel died before this start" in lines[4] and "the disk caught fire" in lines[4] and "last 4 lines" in lines[4], lines
        assert not os.listdir(folder), "what was told stays, and fills the store"
        assert run(folder) == (0, [])


cases.run({"told": told})
