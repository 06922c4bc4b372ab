#!/usr/bin/python3
"""Orders that are wrong in one way, each beside the same order right, sent to a booted node through the hub."""
import json, os, subprocess, sys

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


def plan(lab, path):
    return {c["workload"]: (c["change"], c.get("fields", [])) for c in lab.zos_json("deploy", "--dry-run", path)["changes"]}


def documents(lab, report):
    path = f"{lab.dir}/cache.json"
    cache = json.load(open("examples/cache.json"))
    with report.case("a dry run says what would change and changes nothing"):
        assert plan(lab, "examples/cache.json") == {"valkey": ("add", [])}
        assert "valkey" not in lab.zos("ps")
        lab.zos("deploy", "--no-wait", "examples/cache.json")
        assert plan(lab, "examples/cache.json") == {"valkey": ("keep", [])}
        cache["workloads"][0]["data"]["memory"] = "192MiB"
        cache["workloads"].append({**cache["workloads"][0], "name": "second"})
        json.dump(cache, open(path, "w"))
        assert plan(lab, path) == {"valkey": ("restart", ["memory"]), "second": ("add", [])}
        assert lab.zos_json("get", "cache")["sequence"] == 1
    with report.case("an export is the deployment again, for its owner alone"):
        json.dump(lab.zos_json("export", "cache"), open(path, "w"))
        assert plan(lab, path) == {"valkey": ("keep", [])}
        stranger = f"{lab.dir}/stranger"
        os.mkdir(stranger, 0o700)
        profile = json.load(open(f"{lab.config}/profile.json"))
        json.dump(profile, open(f"{stranger}/profile.json", "w"))
        lab.zos("farm", "allow", lab.zos("key", config=stranger).strip())
        done = lab.start_zos("export", "cache", config=stranger, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = done.communicate(timeout=60)
        assert done.returncode == 1 and not out and "of yours" in err, (out, err)
    with report.case("a watch shows the deployment now and when it goes"):
        watch = lab.start_zos("--json", "watch", "cache", stdout=subprocess.PIPE)
        assert json.loads(watch.stdout.readline())["sequence"] == 1
        lab.zos("delete", "cache")
        last = {}
        while not last.get("deleted"):
            last = json.loads(watch.stdout.readline())
        watch.kill()
        watch.wait()


def roomiest(lab, report):
    with report.case("with two nodes, what names none goes to the one with more room"), lab.node("cloud", memory_mib=1536) as node:
        node.wait_line(r"is up, (\d+) services", 120)
        first = lab.wait_nodes()[0]["node"]
        big = next(n for n in lab.wait_nodes(2) if not n["approved"])["node"]
        lab.zos("farm", "approve", big)
        lab.zos("deploy", "--no-wait", "examples/metrics.json")
        there = [[d["name"] for d in lab.zos_json("ps", "--node", n)["deployments"]] for n in (big, first)]
        assert there[0] == ["metrics"] and "metrics" not in there[1], there


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
            documents(lab, report)
            roomiest(lab, report)
    return report.end()


sys.exit(main())
