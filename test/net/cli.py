#!/usr/bin/python3
"""What `zos` prints about itself, and what it writes for machines to start from, used as its user would: test/net/cli.py CASE, inside tools/enter."""
import contextlib, fcntl, os, pty, re, select, struct, subprocess, sys, termios, time

ZOS = os.environ["ZOS"] = os.environ.get("ZOS_BUILD", "build/release") + "/zos"
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import cases
from lab import Failed, Lab


def zos(*args):
    return subprocess.run([ZOS, *args], check=True, capture_output=True, text=True, timeout=30).stdout


def refused(lab, words, *args):
    try:
        lab.zos("farm", *args)
    except Failed as e:
        assert words in str(e), e
        return
    raise AssertionError(f"{args} was not refused")


PARTS = {".linux": b"a kernel " * 5000, ".initrd": b"an archive " * 9000, ".cmdline": b"console=ttyS0 quiet\n", ".osrel": b"ID=zos\nVARIANT_ID=cloud\n"}


def program(parts):
    """An EFI program of PARTS, as far as a loader of sections sees it: PE format, Microsoft's specification."""
    head, table, data = b"MZ" + b"\0" * 58 + struct.pack("<I", 64), b"", b""
    begin = 64 + 24 + 40 * len(parts)
    for name, content in parts.items():
        table += struct.pack("<8sIIII16x", name.encode(), len(content), 0, len(content), begin + len(data))
        data += content
    return head + b"PE\0\0" + struct.pack("<HH12xHH", 0x8664, len(parts), 0, 0) + table + data


@contextlib.contextmanager
def a_farm():
    """One whose owner has an EFI program to start nodes from, at the path that is returned."""
    with Lab() as lab:
        uki = f"{lab.dir}/zos.efi"
        with open(uki, "wb") as f:
            f.write(program(PARTS))
        lab.start_hub()
        refused(lab, "zos farm init", "media", uki, f"{lab.dir}/none.img")
        lab.make_farm()
        yield lab, uki


def complete(line):
    """What bash offers behind LINE, whose last word is being typed."""
    words = line.split(" ")
    script = f'source <("{ZOS}" completion bash); COMP_WORDS=({" ".join(w or "''" for w in words)}); ' \
             f'COMP_CWORD={len(words) - 1}; _zos; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return set(subprocess.run(["bash", "-uc", script], check=True, capture_output=True, text=True, timeout=30).stdout.split())


def completion():
    rows = [("zos no", {"node"}), ("zos node inf", {"info"}), ("zos deploy --dr", {"--dry-run"}), ("zos hub run --po", {"--port"}),
            ("zos deploy app.json --no", {"--node", "--no-wait"}), ("zos nothing --x", set())]
    for line, want in rows:
        got = complete(line)
        assert got == want, (line, got)
    commands = set(re.findall(r"^  zos (\w+)", zos("--help"), re.M))
    assert commands <= complete("zos "), commands - complete("zos ")


def zsh():
    """The same in zsh, at a terminal: what stands on the line once it was completed, and what it shows where several words would do."""
    rows = [("zos node inf", "zos node info "), ("zos deploy --dr", "zos deploy --dry-run "), ("zos deploy app.json --no", "--node")]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    shell = subprocess.Popen(["zsh", "-fi"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=dict(os.environ, TERM="dumb", PS1="%% ", HOME="/nowhere"))
    os.close(slave)
    try:
        typed(master, f'source <("{ZOS}" completion zsh); echo rea""dy\n', "ready")
        for line, want in rows:
            typed(master, f"{line}\t\t", want)
            typed(master, "\x15echo do\"\"ne\n", "done")  # the line is wiped
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


def typed(master, keys, want):
    """Types KEYS and waits until WANT is shown behind what was there."""
    shown, deadline = b"", time.monotonic() + 60
    os.write(master, keys.encode())
    while want.encode() not in shown:
        ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"{keys!r} did not show {want!r}: {shown!r}"
        shown += os.read(master, 1 << 16)


def manual():
    text = zos("manual")
    for name in re.findall(r"^  zos ((?:[a-z]+ ?)+?) (?= *[A-Z\[]|  )", zos("--help"), re.M):
        assert f".B zos {name.strip()}\n" in text, name
    bad = [line for line in text.splitlines() if line.startswith("'") or (line.startswith(".") and
           not re.match(r"\.(TH|SH|TP|B|BR|I|RS|RE)\b", line))]
    assert not bad, bad
    assert text.count(".RS\n") == text.count("\n.RE\n")


def on_medium(where, name):
    """What lies at NAME on the partition that firmware starts from."""
    return subprocess.run(["mtype", "-i", where, f"::{name}"], check=True, capture_output=True, timeout=30).stdout


def media():
    with a_farm() as (lab, uki):
        stick, disc = f"{lab.dir}/stick.img", f"{lab.dir}/disc.iso"
        assert lab.zos_json("farm", "media", uki, stick)["flavour"] == "cloud"
        table = subprocess.run(["sfdisk", "--json", stick], check=True, capture_output=True, text=True).stdout
        at = int(re.search(r'"start": *(\d+)', table)[1]) * 512
        assert on_medium(f"{stick}@@{at}", "/EFI/BOOT/BOOTX64.EFI") == program(PARTS)
        names = subprocess.run(["mdir", "-/", "-b", "-i", f"{stick}@@{at}", "::"], check=True, capture_output=True, text=True).stdout
        assert ".cred" in names, names
        lab.zos("farm", "media", uki, disc)
        listed = subprocess.run(["xorriso", "-indev", disc, "-report_el_torito", "plain"], check=True, capture_output=True, text=True).stdout
        assert "UEFI" in listed, listed
        refused(lab, "--force writes over it", "media", uki, stick)
        lab.zos("farm", "media", uki, stick, "--force")
        part = program({name: content for name, content in PARTS.items() if name != ".initrd"})
        for wrong, why in ((b"MZ" + b"\0" * 100, "is no EFI program"), (program(PARTS)[:200], "has no Zero-OS in it"), (part, "has no Zero-OS in it")):
            with open(f"{lab.dir}/wrong.efi", "wb") as f:
                f.write(wrong)
            refused(lab, why, "media", f.name, f"{lab.dir}/none.img")
        assert not os.path.exists(f"{lab.dir}/none.img")


def netboot():
    with a_farm() as (lab, uki):
        folder = f"{lab.dir}/served"
        done = lab.zos_json("farm", "netboot", uki, folder, "--url", "http://10.0.0.1/zos")
        assert done == {"dir": folder, "script": "boot.ipxe", "farm": "demo", "flavour": "cloud"}, done
        read = lambda name: open(f"{folder}/{name}", "rb").read()
        assert read("vmlinuz") == PARTS[".linux"] and read("initrd.img") == PARTS[".initrd"]
        script = read("boot.ipxe").decode()
        assert script.startswith("#!ipxe\n") and "kernel http://10.0.0.1/zos/vmlinuz initrd=initrd.magic console=ttyS0 quiet\n" in script, script
        names = subprocess.run(["cpio", "-t", "--quiet"], input=read("farm.cpio"), check=True, capture_output=True).stdout.decode().split()
        assert any(name.endswith(".cred") for name in names), names
        refused(lab, "--force writes over it", "netboot", uki, folder)
        refused(lab, "is no address of a web server", "netboot", uki, folder, "--force", "--url", "10.0.0.1")
        lab.zos("farm", "netboot", uki, folder, "--force")
        assert "kernel vmlinuz" in open(f"{folder}/boot.ipxe").read()
        with open(uki, "wb") as f:
            f.write(program({**PARTS, ".cmdline": b"quiet ${shell}"}))
        refused(lab, "no script can hold", "netboot", uki, folder, "--force")


cases.run({"completion": completion, "zsh": zsh, "manual": manual, "media": media, "netboot": netboot})
