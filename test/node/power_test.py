#!/usr/bin/python3
"""The power of a node with a TPM and two disks fails while owners deploy, resize, delete, make snapshots and go back to one, and a machine writes to its volume: what was
said to be done is done afterwards, nothing is half done, and what the machine had flushed is there. ROUNDS=8 moments, as SEED says; each is a start of the node, with
both disks as they were at that instant, each without what no flush of its own had covered, opened by the TPM."""
import json, os, random, re, shutil, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from cutlog import Disk, Moments
from lab import Lab, until
from measured import Place
from owner import Owner
from qemu import Report
from registry import Registry
from storage import WAIT

MIB = 1 << 20
SIZES = {"large": 4200 * MIB, "small": 2200 * MIB}  # images are kept on the larger one, so both have about the same room for volumes
# one small file after the other, each flushed before it is told; goes on behind the last one after a restart
WRITER = """word() { printf %06d $1 | sha256sum | cut -c1-32; }
i=$(ls /srv | grep -c f); while :; do i=$((i+1)); word $i | dd of=/srv/f$i conv=fsync 2>/dev/null && echo wrote $i; sleep 0.1; done"""
CHECK = """word() { printf %06d $1 | sha256sum | cut -c1-32; }
for i in $(seq 1 COUNT); do [ "$(cat /srv/f$i)" = "$(word $i)" ] || echo bad $i; done; echo looked"""


class Power(Owner):
    def __init__(self, *more):
        super().__init__(*more)
        self.marks = []  # (writes on the disks by then, what was said to be done)

    def file(self, name, size, writes):
        data = {"image": self.image, "isolation": "container", "cpu": 0.5, "memory": "96MiB", "entrypoint": ["/usr/bin/sh", "-c", writes],
                "mounts": [{"name": "data", "path": "/srv"}]}
        with open(f"{self.lab.dir}/{name}.json", "w") as f:
            json.dump({"name": name, "workloads": [{"name": "data", "type": "volume", "data": {"size": size}},
                                                   {"name": "box", "type": "zmachine", "data": data}]}, f)
        return f.name

    def done(self, **what):
        """Said to be done by now."""
        wrote = re.findall(r"wrote (\d+)", self.lab.zos("logs", "shop/box"))
        self.marks.append((self.moments.now(), {**what, "files": int(wrote[-1]) if wrote else 0}))

    def sh(self, name, script):
        return self.lab.zos("exec", f"{name}/box", "--", "/usr/bin/sh", "-c", script)

    def expected(self, cut):
        """All that was said to be done before the first of CUT writes were on their way to each disk."""
        all = {}
        for counts, what in self.marks:
            if is_before(counts, cut):
                all.update(what)
        return all


def is_before(counts, cut):
    return all(n <= at for n, at in zip(counts, cut))


def act(s):
    zos = s.lab.zos
    zos("deploy", s.file("shop", "200MiB", WRITER))
    s.done(shop=1)
    zos("deploy", s.file("other", "100MiB", WAIT))
    s.done(other=1)
    zos("volume", "resize", "shop/data", "300MiB")
    s.done(shop=2, size=300 * MIB)
    zos("volume", "snapshot", "shop/data", "one")
    s.done(snapshot="one")
    s.done(other=None)  # from here on it may be there or not
    zos("delete", "other")
    s.done(other=2)
    zos("deploy", s.file("third", "100MiB", WAIT))
    s.done(third=1)
    s.sh("third", "echo before > /srv/word; sync")
    zos("volume", "snapshot", "third/data", "one")
    s.sh("third", "echo after > /srv/word; sync")
    zos("volume", "restore", "third/data", "one")  # at once: it is done when the machine is down
    s.done(word="before\n")
    more = s.marks[-1][1]["files"] + 20
    until("it has written for a while", lambda: f"wrote {more}\n" in zos("logs", "shop/box"), 120)
    s.done()


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


def are_whole(lab):
    """Both disks are open and in use, by the TPM's keys."""
    disks = lab.zos_json("node", "disks")["disks"]
    return {(d["serial"], d["state"], d["key"], d["text"]) for d in disks if d["serial"] in SIZES} == {(name, "ready", "tpm", "") for name in SIZES}


def record(lab, report, registry, disks, place):
    """The owner, with all that was said to be done."""
    medium = place.medium("zos", "builder")
    s = Power(lab, registry, None)
    s.moments = Moments(disks)
    with report.case("deployments, a resize, snapshots, a restore and a deletion while every write to two disks is recorded"):
        with place.machine(medium, extra=[word for d in disks for word in d.arguments()]) as node, lab.newcomer(node) as (s.node, new):
            s.identity = new["node"]
            lab.zos("farm", "approve", s.identity)
            until("both disks are in use", lambda: are_whole(lab), 120)
            with s.moments.watched():
                act(s)
            where = [next(w for w in lab.zos_json("get", name)["workloads"] if w["name"] == "data")["device"] for name in ("shop", "third")]
            assert where[0] != where[1], "both disks have a volume"
    s.start = lambda words: place.machine(medium, tpm=tpm_copied(place), extra=words)
    return s


def tpm_copied(place):
    """Of the TPM as it was when the power failed: each start has its own."""
    shutil.rmtree(f"{place.dir}/tpm-cut", ignore_errors=True)
    shutil.copytree(f"{place.dir}/tpm", f"{place.dir}/tpm-cut")
    return "tpm-cut"


def cuts_draw(s, rounds, chance):
    """Moments at which the power fails."""
    all = s.moments.all
    restored = next(counts for counts, what in s.marks if "word" in what)  # one at least comes behind all of it
    last = next(i for i, at in enumerate(all) if is_before(restored, at))
    return [all[i] for i in sorted([*chance.sample(range(last), rounds - 1), chance.randrange(last, len(all))])]


def goes_on(s, cut, disks, logs, chance):
    """Whether what the node does behind the CUT was seen: in a machine that the emulator failed it was not."""
    replays = [d.replay(log, at, f"{s.lab.dir}/{d.serial}-cut", SIZES[d.serial], chance) for d, log, at in zip(disks, logs, cut)]
    with s.start([word for d, path in zip(disks, replays) for word in d.plugged(path)]) as node:
        try:
            with s.lab.newcomer(node) as (s.node, back):
                assert back["node"] == s.identity, back["node"]
                until("both disks are in use", lambda: are_whole(s.lab), 120)
                look(s, s.expected(cut))
        except Exception:
            if not node.is_emulators():
                raise
            return False
    return True


def main():
    report, rounds = Report("make node T=power"), int(os.environ.get("ROUNDS", "8"))
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    chance = random.Random(seed)
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        disks = [Disk(f"{lab.dir}/{name}", size, name) for name, size in SIZES.items()]
        s = record(lab, report, registry, disks, Place(lab, disks=0))
        logs = [list(d.entries()) for d in disks]
        cuts = cuts_draw(s, rounds, chance)
        print(f"     {' and '.join(str(len(log)) for log in logs)} writes, {len(s.moments.all)} moments, cut behind {cuts}, seed {seed}")
        for cut in cuts:
            with report.case(f"cut behind {' and '.join(map(str, cut))} writes: {s.expected(cut) or 'nothing was said to be done'}"):
                assert any(goes_on(s, cut, disks, logs, chance) for _ in range(3)), "the emulator failed its machine, again and again"
    return report.end()


sys.exit(main())
