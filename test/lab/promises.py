"""Whether processes are what the tables of SECURITY.md say they are."""
import re

CAPS = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST
NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE
SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE""".split()


def promised(heading):
    """The rows of the table under HEADING: name -> (uid, caps, no new privileges, seccomp)."""
    rows, under = {}, None
    for line in open("SECURITY.md"):
        under = line.strip("# \n") if line.startswith("#") else under
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if under == heading and len(cells) == 6 and (cells[1].isdigit() or cells[1] == "a range of its own"):
            rows[cells[0]] = cells[1:5]
    return rows


def mask(text):
    return {"all": (1 << len(CAPS)) - 1, "none": 0}.get(text) if text in ("all", "none") else \
        sum(1 << CAPS.index(c) for c in text.split())


def check(node, report, heading):
    for name, (uid, caps, privileges, seccomp) in promised(heading).items():
        with report.case(f"{name} is as SECURITY.md says"):
            find = "1" if name == "init" else f"$(pidof {name} | tr ' ' '\\n' | sort -n | head -n1)"
            text, status = node.shell(f"cat /proc/{find}/status")
            assert status == 0, f"{name} does not run"
            said = dict(re.findall(r"^(\w+):\s*(.*)$", text, re.M))
            if uid == "a range of its own":
                assert int(said["Uid"].split()[0]) >= 1 << 20, said["Uid"]
            else:
                assert said["Uid"].split() == [uid] * 4, said["Uid"]
            assert int(said["CapEff"], 16) == mask(caps), [c for i, c in enumerate(CAPS) if int(said["CapEff"], 16) >> i & 1]
            assert said["NoNewPrivs"] == ("1" if privileges == "yes" else "0"), said["NoNewPrivs"]
            assert said["Seccomp"] == ("2" if seccomp == "yes" else "0"), said["Seccomp"]
