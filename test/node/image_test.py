#!/usr/bin/python3
"""What is in the image, read back from the EROFS itself: only what the manifest names, and nothing that runs orders; and what is around it."""
import glob, os, re, stat, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from qemu import Report

SHELLS = {"sh", "ash", "bash", "dash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "rbash", "busybox", "toybox", "python",
          "python3", "perl", "ruby", "lua", "node", "tclsh", "gawk", "mawk", "awk", "sed", "env", "su", "sudo", "login", "getty",
          "sshd", "dropbear", "telnetd"}
PACKAGERS = {"dpkg", "apt", "apt-get", "rpm", "dnf", "pip", "snap", "flatpak", "opkg", "apk"}
# strings that only the program itself carries, whatever it is called
TRACES = {b"GNU bash": "bash", b"BusyBox v": "busybox", b"Py_BytesMain": "python", b"PL_perl_destruct": "perl",
          b"luaL_openlibs": "lua", b"ruby_init": "ruby"}
# decision 123: HAProxy is linked with Lua and loads none
LUA = ["/usr/lib/x86_64-linux-gnu/liblua5.4.so.0", "/usr/sbin/haproxy"]
KNOWN = {"cloud": [], "metal": LUA, "debug": ["/usr/bin/busybox", *LUA]}
SIZES = {"cloud": 55e6, "metal": 150e6}
LIBRARY = "/usr/lib/x86_64-linux-gnu/"


def walk(root):
    for folder, dirs, files in os.walk(root):
        for name in dirs + files:
            full = os.path.join(folder, name)
            yield full.removeprefix(root), os.lstat(full), full


def manifest(flavour):
    """Patterns of the paths that may be there."""
    allowed = [LIBRARY + "*.so*", "/usr/lib64/ld-linux-x86-64.so.2"]  # the closure: checked by who needs it
    for line in open("os/manifest"):
        words = line.split("#")[0].split()
        if words and words[0].startswith("[") and words.pop(0) != f"[{flavour}]":
            continue
        if not words:
            continue
        if words[0] == "modules":
            allowed += ["/usr/lib/zos/modules", "/usr/lib/modules/*/modules.*", "/usr/lib/modules/*/kernel/**/*.ko"]
        elif words[0] == "offers":
            allowed += [words[1], os.path.dirname(words[1]) + "/modules/*.ko"]
        elif words[0] == "firmware":
            allowed.append(words[1] + "/**")
        else:
            allowed.append(words[1])
    return [re.compile(glob.translate(a, recursive=True)) if hasattr(glob, "translate") else
            re.compile(re.escape(a).replace(r"\*\*/", ".*").replace(r"\*", "[^/]*") + "$") for a in allowed]


def elf(path):
    """(needed libraries, loader) of an ELF file, or None."""
    with open(path, "rb") as f:
        if f.read(4) != b"\x7fELF":
            return None
    text = subprocess.run(["readelf", "-dlW", path], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text), re.findall(r"program interpreter: (.*)\]", text)


def symbols(path, kind):
    """Names of the dynamic symbols of this KIND, as nm(1) calls it."""
    text = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in text.splitlines() if line.split()[-2] == kind}


def orders_runners(root):
    """Paths of what runs orders in ROOT, by name, and of what does under another name, or is a script."""
    files = list(walk(root))
    named = [p for p, _, _ in files if os.path.basename(p) in SHELLS | PACKAGERS]
    hidden = []
    for p, st, full in files:
        data = open(full, "rb").read() if stat.S_ISREG(st.st_mode) else b""
        hidden += [p] if data.startswith(b"#!") else []
        hidden += [p for trace in TRACES if data.startswith(b"\x7fELF") and trace in data]
    return named, hidden


def check(report, flavour, root):
    files = list(walk(root))
    regular = [(p, st, full) for p, st, full in files if stat.S_ISREG(st.st_mode)]
    elves = {p: e for p, _, full in regular if not p.endswith(".ko") and (e := elf(full))}

    with report.case(f"{flavour}: every file is in the manifest"):
        allowed = manifest(flavour)
        stray = [p for p, st, _ in files if not stat.S_ISDIR(st.st_mode) and not any(a.match(p) for a in allowed)]
        assert not stray, stray
    with report.case(f"{flavour}: every library is needed by somebody"):
        needed = {n for e in elves.values() for n in e[0]}
        stray = [p for p in elves if p.startswith(LIBRARY) and os.path.basename(p) not in needed | {"libgcc_s.so.1"}]
        assert not stray, stray
    with report.case(f"{flavour}: all that programs need is there"):
        missing = [(p, n) for p, e in elves.items() for n in e[0]
                   if not os.path.exists(f"{root}{LIBRARY}{n}") and n != "ld-linux-x86-64.so.2"]
        missing += [(p, i) for p, e in elves.items() for i in e[1] if not os.path.exists(f"{root}/usr{i}")]
        assert not missing, missing
    with report.case(f"{flavour}: our libcapstone has what QEMU asks of it"):
        asked = symbols(root + "/usr/bin/qemu-system-x86_64", "U")
        has = symbols(root + LIBRARY + "libcapstone.so.5", "T")
        assert {s for s in asked if s.startswith("cs_")} == has, (asked, has)
    with report.case(f"{flavour}: no shell, interpreter or package manager by name"):
        named, hidden = orders_runners(root)
        assert named == (["/usr/bin/busybox"] if flavour == "debug" else []), named
    with report.case(f"{flavour}: none under another name, no script"):
        assert sorted(hidden) == KNOWN[flavour], hidden
    with report.case(f"{flavour}: no set-uid, set-gid, capability, device; nothing but root may write"):
        bad = [p for p, st, _ in files if st.st_mode & 0o6000 or st.st_uid or st.st_gid]
        bad += [p for p, st, _ in files if st.st_mode & 0o022 and not stat.S_ISLNK(st.st_mode)]
        bad += [p for p, st, _ in files if not (stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode) or stat.S_ISLNK(st.st_mode))]
        bad += [p for p, _, full in regular if "security.capability" in os.listxattr(full)]
        assert not bad, bad


def first_archive(path):
    """Sizes by name, in their order, of what is in the first of the archives that PATH is made of: where the kernel looks before it unpacks anything."""
    with open(path, "rb") as f:
        text = subprocess.run(["cpio", "-tv", "--quiet"], stdin=f, capture_output=True, text=True, check=True).stdout
    return {words[-1]: int(words[4]) for line in text.splitlines() if (words := line.split())[0].startswith("-")}


def early(report):
    microcode = ["kernel/x86/microcode/AuthenticAMD.bin", "kernel/x86/microcode/GenuineIntel.bin"]
    with report.case("metal: begins with the processors' microcode, which the kernel loads first; cloud and debug have none"):
        first = {flavour: first_archive(f"build/image/{flavour}/initrd.img") for flavour in ("cloud", "debug", "metal")}
        assert sorted([*first["metal"]][:2]) == microcode and all(first["metal"][name] > 100000 for name in microcode), first["metal"]
        for flavour in ("cloud", "debug"):
            assert first[flavour] and not [name for name in first[flavour] if "microcode" in name], first[flavour]


def client(report):
    with report.case("the client is one static program: it asks for no library and no loader"):
        libraries, loader = elf("/usr/bin/readelf")
        assert libraries and loader, "others do"
        assert elf("build/release/zos") == ([], []), elf("build/release/zos")


def main():
    report = Report("make node T=image")
    for flavour in ("cloud", "metal", "debug"):
        with tempfile.TemporaryDirectory() as root:
            subprocess.run(["fsck.erofs", f"--extract={root}", "--preserve", "--xattrs", f"build/image/{flavour}/root.erofs"], check=True,
                           stdout=subprocess.DEVNULL)
            check(report, flavour, root)
    early(report)
    client(report)
    for flavour, limit in SIZES.items():
        with report.case(f"{flavour}: kernel and all stay below {limit / 1e6:.0f} MB"):
            size = os.path.getsize(f"build/image/{flavour}/zos.efi")
            assert size <= limit, size
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
