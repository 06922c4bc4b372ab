#!/usr/bin/python3
"""The owner of a farm who wanted it so opens disks whose TPM was cleared, and nobody else does; who does not want it any more leaves nothing behind."""
import hashlib, io, json, os, re, shutil, subprocess, sys, tarfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import ZOS, Lab, refused, until, wait_for
from measured import Place
from qemu import Report

DISKS = ("disk0", "disk1")
HEADER = 16 << 20


def header(path):
    """Key slots, types of tokens, sealed secrets of a disk."""
    done = subprocess.run(["cryptsetup", "luksDump", "--dump-json-metadata", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    v = json.loads(done.stdout)
    return sorted(v["keyslots"]), sorted(t["type"] for t in v["tokens"].values()), [t["sealed"] for t in v["tokens"].values() if t["type"] == "zos-recovery"]


class Recovery:
    def __init__(self, lab, report):
        self.lab, self.report, self.place = lab, report, Place(lab, disks=2)
        self.medium = self.place.medium("first", "builder")
        self.seed = f"{lab.config}/recovery.seed"
        self.files = {f"file{i}": os.urandom(300000) for i in range(20)}

    def wait_kept(self, key, kept):
        for serial in DISKS:
            until(f"{serial} keeps a recovery key: {kept}", lambda: self.place.look(key, serial)["recovery"] == kept)

    def volume_fill(self, key):
        with open(f"{self.lab.dir}/data.json", "w") as f:
            json.dump({"name": "data", "workloads": [{"name": "files", "type": "volume", "data": {"size": "200MiB"}}]}, f)
        self.lab.zos("deploy", f.name, "--node", key)
        with tarfile.open(f"{self.lab.dir}/in.tar", "w") as tar:
            for name, data in self.files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        with open(f"{self.lab.dir}/in.tar", "rb") as f:
            self.run_on_file("import", stdin=f)

    def run_on_file(self, verb, **files):
        done = subprocess.run([ZOS, "volume", verb, "data/files"], env=self.lab.environment(), stderr=subprocess.PIPE, timeout=120, **files)
        assert done.returncode == 0, done.stderr

    def volume_is_whole(self):
        until("the volume is there", lambda: self.lab.zos_json("get", "data")["workloads"][0]["state"] == "ok", 120)
        with open(f"{self.lab.dir}/out.tar", "wb") as f:
            self.run_on_file("export", stdout=f)
        with tarfile.open(f"{self.lab.dir}/out.tar") as tar:
            got = {m.name.removeprefix("./"): hashlib.sha256(tar.extractfile(m).read()).digest() for m in tar if m.isfile()}
        assert got == {n: hashlib.sha256(d).digest() for n, d in self.files.items()}, got.keys()

    def wanted(self):
        """The node as it is before anything happens to it: its key."""
        lab, case = self.lab, self.report.case
        with self.place.up(self.medium) as key:
            lab.zos("farm", "approve", key)
            with case("without an order no disk keeps anything for the farm's owner"):
                for serial in DISKS:
                    d = self.place.wait(key, "ready", serial)
                    assert d["key"] == "tpm" and not d["recovery"], d
                assert not lab.zos_json("node", "info", key)["recovery"]
                assert [header(p)[:2] for p in self.place.disks] == [(["0"], ["zos"])] * 2
            with case("with 'zos farm recovery on' each does, and owners are told"):
                said = lab.zos("farm", "recovery", "on")
                assert self.seed in said and os.stat(self.seed).st_mode & 0o777 == 0o600, said
                self.wait_kept(key, True)
                assert [header(p)[:2] for p in self.place.disks] == [(["0", "1"], ["zos", "zos-recovery"])] * 2
                info = lab.zos("node", "info", key)
                assert re.search(r"recovery +on: the farm's owner can read", info), info
                assert "tpm, farm" in lab.zos("node", "disks", key)
            with case("a disk that is open needs no recovery, and says so"):
                with refused("is open: there is nothing to recover"):
                    self.place.recover("disk0", key)
            self.volume_fill(key)
            self.volume_is_whole()
        return key

    def cleared(self, key):
        """The TPM is cleared, one disk is recovered after the other."""
        lab, case, place = self.lab, self.report.case, self.place
        shutil.rmtree(f"{place.dir}/tpm")
        with place.up(self.medium) as stranger:
            with case("once the TPM was cleared the disks are shut, and say why and what helps"):
                assert stranger != key
                for serial in DISKS:
                    d = place.wait(stranger, "failed", serial)
                    assert "this one was cleared" in d["text"] and "zos node disks recover" in d["text"], d
            with case("the farm's owner opens one, and the node is who it was"):
                self.place.recover("disk0", stranger)
                d = place.wait_back(key)
                assert d["key"] == "tpm" and d["recovery"], d
                assert place.wait(key, "failed", "disk1")["uuid"]
            self.refusals(key)
            with case("and the other one"):
                self.place.recover("disk1", key)
                assert place.wait(key, "ready", "disk1")["key"] == "tpm"
            with case("what is in its volume is as it was"):
                self.volume_is_whole()

    def refusals(self, key):
        lab, case = self.lab, self.report.case
        for name, words in (("recover-owner", "zos.Denied only the farm's own key"),
                            ("recover-secret", "zos.Failed the secret that came does not open its recovery key slot"),
                            ("recover-sealed", "zos.Invalid /secret: was not sealed for this node and this disk")):
            with case(f"the node answers the farm's owner and refuses what is wrong: {name}"):
                # while the disk is tried again there is no answer about it
                done = wait_for("the disk is not being tried",
                                lambda: subprocess.run(["build/release/probe", name], capture_output=True, text=True, timeout=90, env=lab.environment()),
                                lambda done: "ask again in a moment" not in done.stdout)
                good, _, bad = done.stdout.strip().partition(" / ")
                assert good == "ok" and words in bad, done.stdout + done.stderr
        with case("with another recovery key, or none, nothing is sent"):
            os.rename(self.seed, f"{self.seed}.kept")
            try:
                with refused("there is no recovery.seed"):
                    self.place.recover("disk1", key)
                shutil.copyfile(f"{lab.config}/farm.seed", self.seed)
                os.chmod(self.seed, 0o600)
                with refused("for another recovery key"):
                    self.place.recover("disk1", key)
            finally:
                os.rename(f"{self.seed}.kept", self.seed)

    def after(self):
        """By the TPM alone; and then the farm's owner wants it no more."""
        lab, case, place = self.lab, self.report.case, self.place
        with place.up(self.medium) as key:
            with case("after the next start the TPM opens both without help"):
                for serial in DISKS:
                    d = place.wait(key, "ready", serial)
                    assert d["key"] == "tpm" and d["recovery"], d
                self.volume_is_whole()
            with case("'zos farm recovery off' wipes key slot and token"):
                sealed = [header(p)[2][0] for p in place.disks]
                lab.zos("farm", "recovery", "off")
                self.wait_kept(key, False)
                assert not lab.zos_json("node", "info", key)["recovery"]
                for path, secret in zip(place.disks, sealed):
                    assert header(path)[:2] == (["0"], ["zos"]), header(path)
                    with open(path, "rb") as f:
                        assert secret.encode() not in f.read(HEADER), "the sealed secret is still there"
        shutil.rmtree(f"{place.dir}/tpm")
        with place.up(self.medium) as stranger:
            with case("and then nobody opens a disk whose TPM was cleared"):
                with refused("keeps no recovery key"):
                    self.place.recover("disk0", stranger)


def main():
    report = Report("make node T=recovery")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        recovery = Recovery(lab, report)
        recovery.cleared(recovery.wanted())
        recovery.after()
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
