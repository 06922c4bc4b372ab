#!/usr/bin/python3
"""Orders that are wrong in one way, each beside the same order right, sent to a booted node through the hub."""
import os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Lab
from qemu import Report

EXPECT = {
    "wrong-key": ("zos.Denied", "signed by another key than this session's"),
    "wrong-node": ("zos.WrongNode", "meant for node N"),
    "expired": ("zos.Expired", "expired at"),
    "immortal": ("zos.Expired", "is the longest"),
    "unknown-field": ("zos.Invalid", "/colour: unknown field"),
    "unknown-call": ("zos.Invalid", "knows no call 'zos.Node.Shell'"),
    "farm-only": ("zos.Denied", "only the farm's own key"),
    "used-nonce": ("zos.Stale", "carried out before"),
    "changed": ("zos.BadSignature", "does not hold"),
    "old-sequence": ("zos.Stale", "/sequence:"),
    "other-node": ("zos.WrongNode", "/node:"),
    "deployment-field": ("zos.Invalid", "/colour: unknown field"),
}


def probe(lab, program, case):
    return subprocess.run([f"build/release/{program}", case], capture_output=True, text=True, timeout=90, env=lab.environment())


def classical(lab, report):
    with report.case("a client that offers X25519 alone gets no session, the same client with the hybrid group does"):
        done = probe(lab, "probe", "unknown-call")
        assert done.stdout.startswith("ok / "), done.stdout + done.stderr
        done = probe(lab, "probe-x25519", "unknown-call")
        assert done.returncode == 1 and not done.stdout and "handshake" in done.stderr, done.stdout + done.stderr


def main():
    report = Report("make node T=orders")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        with lab.node("cloud") as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            lab.zos("farm", "allow", lab.zos("key").strip())
            for case, (error, words) in EXPECT.items():
                with report.case(f"{case}: right taken, wrong refused with {error}"):
                    done = probe(lab, "probe", case)
                    good, _, bad = done.stdout.strip().partition(" / ")
                    assert good == "ok" and bad.startswith(error + " ") and words in bad, done.stdout + done.stderr
            classical(lab, report)
    return report.end()


sys.exit(main())
