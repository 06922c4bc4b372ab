#!/usr/bin/python3
"""With a TPM the key of a disk is the TPM's. Under Secure Boot it gives it to images of the same builder on this machine, with its firmware as it was, and to nobody
else; without, to whatever runs on this machine and knows how to ask: the node says which it is."""
import os, shutil, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import tpmbus
from firmware import run
from foreign import Foreign, said
from lab import Lab, until
from measured import Place
from qemu import Report

REFUSED_POLICY = "Esys_Unseal(0x99D)"           # TPM_RC_POLICY_FAIL, session 1 (TPM 2.0, part 2): another PCR 7
REFUSED_IMAGE = "Esys_PolicyAuthorize(0x1C4)"   # TPM_RC_VALUE, parameter 1: another PCR 11 than was signed
HALF_SEALED = "are in the TPM, but Secure Boot is off"


def opens(disk, key):
    """Whether KEY opens DISK, as cryptsetup sees it."""
    return subprocess.run(["cryptsetup", "open", "--test-passphrase", "--key-file", "-", disk], input=key, capture_output=True).returncode == 0


def asked(place, medium, **how):
    """What a system that is not ours is told by the TPM of this machine, and the key that it got."""
    with place.machine(medium, **how) as node, node:
        node.wait_line("foreign: that was all", 200)
        return said(node.console.text)


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

    def foreign(self):
        """What is not ours and yet starts under these Secure Boot keys, because it bears a signature that the firmware believes."""
        place, case = self.place, self.case
        them = Foreign(f"{place.dir}/them", place.disks[0], f"{place.dir}/first.efi", f"{place.dir}/builder.pem")
        with case("what bears another believed signature measures what the image would, and the TPM keeps the key: PCR 7 tells who signed"):
            steps, key = asked(place, them.medium("others", f"{place.dir}/other"))
            assert steps.pop("unseal").startswith(REFUSED_POLICY) and set(steps.values()) == {"done"} and not key, (steps, key)
        with case("what bears the image's own is told the key: nobody else may have that signature (SECURITY.md)"):
            steps, key = asked(place, them.medium("own", f"{place.dir}/db"))
            assert set(steps.values()) == {"done"} and opens(place.disks[0], key), steps
        with case("and not when it starts by systemd's stub, as an image with a shell would: PCR 11 tells what was started"):
            steps, key = asked(place, them.uki("shell", f"{place.dir}/db"))
            assert steps["verifysignature"] == "done" and steps["policyauthorize"].startswith(REFUSED_IMAGE), steps
            assert steps["unseal"].startswith(REFUSED_POLICY) and not key, steps
        with case("the debug flavour does not even start so, signed as the image is: its modules bear no signature (decision 096)"):
            debug = shutil.copy("build/image/debug/zos.efi", f"{place.dir}/debug.efi")
            run("os/sign-image", f"{place.dir}/db.key", f"{place.dir}/db.crt", debug)
            self.lab.zos("farm", "media", debug, f"{place.dir}/debug.img")
            with place.machine(f"{place.dir}/debug.img") as node, node:
                node.wait_line(r"load /modules/\w+\.ko: ", 200)

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

    def foreign(self):
        place, case = self.place, self.case
        them = Foreign(f"{place.dir}/them", place.disks[0], f"{place.dir}/first.efi", f"{place.dir}/builder.pem")
        with case("it is not: what anybody starts here measures what the image would, and is told the key"):
            steps, self.told = asked(place, them.medium("anybody"), secure=False)
            assert set(steps.values()) == {"done"} and opens(place.disks[0], self.told), steps
        with case("the debug flavour is refused by the TPM itself, whoever asks from its shell"):
            self.lab.zos("farm", "media", "build/image/debug/zos.efi", f"{place.dir}/debug.img")
            with place.up(f"{place.dir}/debug.img", more=[them.drive()], secure=False) as key:
                assert "is not signed" in place.wait(key, "failed")["text"]
                self.ask_from_shell(place.node, "as-is")
                self.ask_from_shell(place.node, "")

    def ask_from_shell(self, node, how):
        """Root's, with the same program."""
        text, _ = node.shell("mkdir -p /run/them && mount -t tmpfs none /run/them && tar x -C /run/them -f /dev/$(grep -l disk1 /sys/block/vd*/serial | cut -d/ -f4)"
                             f" && mount --bind /dev /run/them/dev && chroot /run/them /init {how}; umount /run/them/dev /run/them", 120)
        steps, key = said(text)
        assert steps["verifysignature"] == "done" and steps["policyauthorize"].startswith(REFUSED_IMAGE), text
        assert steps["unseal"].startswith(REFUSED_POLICY) and not key and ("pcrextend" in steps) == (not how), text

    def enrolled(self):
        with self.case("once keys are enrolled the disk is shut and says why, and the farm's recovery key has it sealed under them"):
            with self.place.up(self.first) as stranger:
                shut = self.place.wait(stranger, "failed")
                assert "(it is on now)" in shut["text"] and "zos node disks recover" in shut["text"], shut
                self.place.recover("disk0", stranger)
                self.place.wait_back(self.key)
                health = self.lab.zos_json("node", "health", self.key)
                assert health["keys_sealed"] and health["secure_boot"], health
        with self.case("the key that was told before opens the disk no more, and the new one is not told"):
            them = Foreign(f"{self.place.dir}/later", self.place.disks[0], f"{self.place.dir}/first.efi", f"{self.place.dir}/builder.pem")
            steps, key = asked(self.place, them.medium("later"), secure=False)
            assert steps["unseal"].startswith(REFUSED_POLICY) and not key and not opens(self.place.disks[0], self.told), steps


def main():
    report = Report("make node T=seal")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        for parts in (Sealed, ("ours", "not_ours", "foreign", "after")), (HalfSealed, ("ours", "foreign", "enrolled")):
            machine = parts[0](lab, report)
            for part in parts[1]:
                getattr(machine, part)()
    return report.end()


sys.exit(main())
