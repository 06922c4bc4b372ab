#!/usr/bin/python3
"""With a TPM the key of a disk is the TPM's. Under Secure Boot it gives it to images of the same builder on this machine, with its firmware as it was, and to nobody
else; without, to whatever runs on this machine and knows how to ask: the node says which it is."""
import os, shutil, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import tpmbus
from lab import Lab, until
from measured import Place
from qemu import Report

HALF_SEALED = "are in the TPM, but Secure Boot is off"


class Sealed:
    """A machine with Secure Boot."""

    def __init__(self, lab, report):
        self.lab, self.case, self.place = lab, report.case, Place(lab, name="sealed")
        self.first = self.place.medium("first", "builder")

    def ours(self):
        place, case = self.place, self.case
        with case("the key of a new disk is the TPM's, and health has nothing to say about keys"):
            with place.up(self.first) as key:
                self.lab.zos("farm", "approve", key)
                self.made = made = place.wait(key, "ready")
                health, text = self.lab.zos_json("node", "health", key), self.lab.zos("node", "health", key)
            assert made["key"] == "tpm" and health["keys_sealed"] and health["secure_boot"] and "\nkeys " not in text, (made, health, text)
        with case("another release of the same builder opens it"):
            disk, _ = place.boot(place.medium("next", "builder", "zos.release=2"), "ready")
            assert disk["uuid"] == made["uuid"], disk
        with case("who listens on the TPM's bus hears neither the key nor what opens it: sessions are salted, both are encrypted"):
            heard = tpmbus.commands(f"{place.dir}/tpm.log")
            named = {code: [c for c in heard if c.code == code] for code in tpmbus.HANDLES}
            assert all(named.values()), {hex(code): len(all) for code, all in named.items()}
            assert not any(c.hides(tpmbus.DECRYPT) or c.hides(tpmbus.ENCRYPT) for c in named[tpmbus.PCR_EXTEND]), "the firmware's are in clear, and seen so"
            assert all(c.handles[0] != tpmbus.NO_KEY for c in named[tpmbus.START_AUTH_SESSION]), [c.handles for c in named[tpmbus.START_AUTH_SESSION]]
            assert all(c.hides(tpmbus.DECRYPT) for c in named[tpmbus.CREATE]) and all(c.hides(tpmbus.ENCRYPT) for c in named[tpmbus.UNSEAL])

    def not_ours(self):
        place, case = self.place, self.case
        with case("an image of another builder does not"):
            disk, _ = place.boot(place.medium("foreign", "stranger"), "failed")
            assert "another builder" in disk["text"], disk
        with case("the same image with Secure Boot switched off does not, and it is said what would help"):
            disk, health = place.boot(self.first, "failed", secure=False)
            assert "Secure Boot settings or keys (it is off now): as they were, it opens" in disk["text"] and not health["secure_boot"], (disk, health)
        with case("the same image on another machine does not"):
            disk, _ = place.boot(self.first, "failed", tpm="other")
            assert "another TPM" in disk["text"], disk

    def after(self):
        place, case = self.place, self.case
        with case("none of them has changed anything: the first image opens it again"):
            disk, _ = place.boot(self.first, "ready")
            assert disk["uuid"] == self.made["uuid"] and disk["key"] == "tpm", disk
        with case("once the TPM was cleared nothing opens it, and it is told why and left alone"):
            shutil.rmtree(f"{place.dir}/tpm")
            disk, health = place.boot(self.first, "failed")
            assert "this one was cleared" in disk["text"] and disk["uuid"] == self.made["uuid"] and not health["ok"], disk


class HalfSealed:
    """A machine without, whose farmer enrols keys later."""

    def __init__(self, lab, report):
        self.lab, self.case, self.place = lab, report.case, Place(lab, name="half")
        self.first = self.place.medium("first", "builder")

    def ours(self):
        with self.case("without Secure Boot the TPM keeps the key, too, and health says that this is not enough, and what is"):
            with self.place.up(self.first, secure=False) as self.key:
                key = self.key
                self.lab.zos("farm", "approve", key)
                self.lab.zos("farm", "recovery", "on")
                until("the disk can be recovered", lambda: self.place.look(key)["recovery"])
                made, health, text = self.place.look(key), self.lab.zos_json("node", "health", key), self.lab.zos("node", "health", key)
            assert made["key"] == "tpm" and not health["keys_sealed"] and not health["secure_boot"] and HALF_SEALED in text, (made, health, text)

    def enrolled(self):
        with self.case("once keys are enrolled the disk is shut and says why, and the farm's recovery key has it sealed under them"):
            with self.place.up(self.first) as stranger:
                shut = self.place.wait(stranger, "failed")
                assert "(it is on now)" in shut["text"] and "zos node disks recover" in shut["text"], shut
                self.place.recover("disk0", stranger)
                self.place.wait_back(self.key)
                health = self.lab.zos_json("node", "health", self.key)
                assert health["keys_sealed"] and health["secure_boot"], health


def main():
    report = Report("make node T=seal")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        for parts in (Sealed, ("ours", "not_ours", "after")), (HalfSealed, ("ours", "enrolled")):
            machine = parts[0](lab, report)
            for part in parts[1]:
                getattr(machine, part)()
    return report.end()


sys.exit(main())
