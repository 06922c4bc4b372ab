#!/usr/bin/python3
"""The power fails while owners deploy, resize, delete, make snapshots and go back to one, and a machine writes to its volume: what was said to be done is done
afterwards, nothing is half done, and what the machine had flushed is there. ROUNDS=8 moments, as SEED says; each is a start of the node."""
import json, os, random, re, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from cutlog import Disk
from lab import Failed, Lab, until
from owner import Owner
from qemu import Report
from registry import Registry
from storage import WAIT

MIB = 1 << 20
SIZE = 2600 * MIB
# one small file after the other, each flushed before it is told; goes on behind the last one after a restart
WRITER = """word() { printf %06d $1 | sha256sum | cut -c1-32; }
i=$(ls /srv | grep -c f); while :; do i=$((i+1)); word $i | dd of=/srv/f$i conv=fsync 2>/dev/null && echo wrote $i; sleep 0.1; done"""
CHECK = """word() { printf %06d $1 | sha256sum | cut -c1-32; }
for i in $(seq 1 COUNT); do [ "$(cat /srv/f$i)" = "$(word $i)" ] || echo bad $i; done; echo looked"""


class Power(Owner):
    def __init__(self, *more):
        super().__init__(*more)
        self.marks = []  # (writes on the disk by then, what was said to be done)

    def file(self, name, size, writes):
        data = {"image": self.image, "isolation": "container", "cpu": 0.5, "memory": "96MiB", "entrypoint": ["/usr/bin/sh", "-c", writes],
                "mounts": [{"name": "data", "path": "/srv"}]}
        with open(f"{self.lab.dir}/{name}.json", "w") as f:
            json.dump({"name": name, "workloads": [{"name": "data", "type": "volume", "data": {"size": size}},
                                                   {"name": "box", "type": "zmachine", "data": data}]}, f)
        return f.name

    def done(self, disk, **what):
        """Said to be done by now."""
        wrote = re.findall(r"wrote (\d+)", self.lab.zos("logs", "shop/box"))
        self.marks.append((disk.count(), {**what, "files": int(wrote[-1]) if wrote else 0}))

    def sh(self, name, script):
        return self.lab.zos("exec", f"{name}/box", "--", "/usr/bin/sh", "-c", script)

    def expected(self, cut):
        """All that was said to be done before the first CUT writes were on their way."""
        all = {}
        for count, what in self.marks:
            if count <= cut:
                all.update(what)
        return all


def act(s, disk):
    zos = s.lab.zos
    zos("deploy", s.file("shop", "200MiB", WRITER))
    s.done(disk, shop=1)
    zos("deploy", s.file("other", "100MiB", WAIT))
    s.done(disk, other=1)
    zos("volume", "resize", "shop/data", "300MiB")
    s.done(disk, shop=2, size=300 * MIB)
    zos("volume", "snapshot", "shop/data", "one")
    s.done(disk, snapshot="one")
    s.done(disk, other=None)  # from here on it may be there or not
    zos("delete", "other")
    s.done(disk, other=2)
    zos("deploy", s.file("third", "100MiB", WAIT))
    s.done(disk, third=1)
    s.sh("third", "echo before > /srv/word; sync")
    zos("volume", "snapshot", "third/data", "one")
    s.sh("third", "echo after > /srv/word; sync")
    zos("volume", "restore", "third/data", "one")  # at once: it is done when the machine is down
    s.done(disk, word="before\n")
    more = s.marks[-1][1]["files"] + 20
    until("it has written for a while", lambda: f"wrote {more}\n" in zos("logs", "shop/box"), 120)
    s.done(disk)


def look(s, want):
    """That all of WANT is so."""
    lab = s.lab
    said = {d["name"]: d for d in lab.zos_json("ps")["deployments"]}
    deleted = want.get("other") == 2
    for name in "shop", "other", "third":
        if want.get(name) and not (name == "other" and deleted):
            assert said[name]["sequence"] >= want[name], (name, said.get(name))
    if deleted:
        until("what was deleted is gone", lambda: "other" not in {d["name"] for d in lab.zos_json("ps")["deployments"]}, 60)
    for name in said:
        until(f"'{name}' is as it was wanted", lambda: all(w["state"] == "ok" for w in lab.zos_json("get", name)["workloads"]), 180)
    if "size" in want:
        assert next(w for w in lab.zos_json("volume", "list") if w["deployment"] == "shop")["size"] >= want["size"]
    if "snapshot" in want:
        assert [x["name"] for x in lab.zos_json("volume", "snapshots", "shop/data")["snapshots"]] == [want["snapshot"]]
    if "word" in want:
        until("the volume went back", lambda: s.sh("third", "cat /srv/word") == want["word"], 60)
    if want.get("files"):
        out = lab.zos("exec", "shop/box", "--", "/usr/bin/sh", "-c", CHECK.replace("COUNT", str(want["files"])))
        assert out == "looked\n", out[:300]


def main():
    report, rounds = Report("make node T=power"), int(os.environ.get("ROUNDS", "8"))
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    chance = random.Random(seed)
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        disk = Disk(f"{lab.dir}/disk", SIZE)
        with report.case("deployments, a resize, snapshots, a restore and a deletion while every write is recorded"):
            with lab.node("debug", memory_mib=2048, extra=disk.arguments()) as node:
                node.wait_line(r"is up, (\d+) services", 120)
                identity = lab.wait_nodes()[0]["node"]
                lab.zos("farm", "approve", identity)
                s = Power(lab, registry, node)
                until("it is durable", lambda: lab.zos_json("node", "info")["durable"], 120)
                first = disk.count()
                act(s, disk)
        log = list(disk.entries())
        last = next(count for count, what in s.marks if "word" in what)  # one at least comes behind all of it
        cuts = sorted([*chance.sample(range(first, last), rounds - 1), chance.randrange(last, len(log))])
        print(f"     {len(log)} writes, cut behind {cuts}, seed {seed}")
        for cut in cuts:
            want = s.expected(cut)
            with report.case(f"cut behind {cut} of {len(log)} writes: {want or 'nothing was said to be done'}"):
                path = disk.replay(log, cut, f"{lab.dir}/cut", SIZE, chance)
                with lab.newcomer(lab.node("debug", memory_mib=2048, drives=[path])) as (s.node, record):
                    assert record["node"] == identity, record["node"]
                    look(s, want)
    return report.end()


sys.exit(main())
