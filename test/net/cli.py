#!/usr/bin/python3
"""What `zos` prints about itself, used as its user would: test/net/cli.py CASE, inside tools/enter."""
import os, re, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import cases

ZOS = os.environ.get("ZOS_BUILD", "build/release") + "/zos"


def zos(*args):
    return subprocess.run([ZOS, *args], check=True, capture_output=True, text=True, timeout=30).stdout


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


def manual():
    text = zos("manual")
    for name in re.findall(r"^  zos ((?:[a-z]+ ?)+?) (?= *[A-Z\[]|  )", zos("--help"), re.M):
        assert f".B zos {name.strip()}\n" in text, name
    bad = [line for line in text.splitlines() if line.startswith("'") or (line.startswith(".") and
           not re.match(r"\.(TH|SH|TP|B|BR|I|RS|RE)\b", line))]
    assert not bad, bad
    assert text.count(".RS\n") == text.count("\n.RE\n")


cases.run({"completion": completion, "manual": manual})
