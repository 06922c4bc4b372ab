#!/usr/bin/python3
"""With a TPM the key of a disk is the TPM's: it gives it to images of the same builder on this machine, with its firmware as it was, and to nobody else."""
import os, shutil, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import tpmbus
from lab import Lab
from measured import Place
from qemu import Report


def main():
    report = Report("make node T=seal")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        place = Place(lab)
        first = place.medium("first", "builder")
        with report.case("the key of a new disk is the TPM's, and health has nothing to say about keys"):
            made, health = place.boot(first, "ready")
            assert made["key"] == "tpm" and health["keys_sealed"], (made, health)
        with report.case("another release of the same builder opens it"):
            disk, _ = place.boot(place.medium("next", "builder", "zos.release=2"), "ready")
            assert disk["uuid"] == made["uuid"], disk
        with report.case("who listens on the TPM's bus hears neither the key nor what opens it: sessions are salted, both are encrypted"):
            heard = tpmbus.commands(f"{lab.dir}/tpm.log")
            named = {code: [c for c in heard if c.code == code] for code in tpmbus.HANDLES}
            assert all(named.values()), {hex(code): len(all) for code, all in named.items()}
            assert not any(c.hides(tpmbus.DECRYPT) or c.hides(tpmbus.ENCRYPT) for c in named[tpmbus.PCR_EXTEND]), "the firmware's are in clear, and seen so"
            assert all(c.handles[0] != tpmbus.NO_KEY for c in named[tpmbus.START_AUTH_SESSION]), [c.handles for c in named[tpmbus.START_AUTH_SESSION]]
            assert all(c.hides(tpmbus.DECRYPT) for c in named[tpmbus.CREATE]) and all(c.hides(tpmbus.ENCRYPT) for c in named[tpmbus.UNSEAL])
        with report.case("an image of another builder does not"):
            disk, _ = place.boot(place.medium("foreign", "stranger"), "failed")
            assert "another builder" in disk["text"], disk
        with report.case("the debug flavour does not"):
            lab.zos("farm", "media", "build/image/debug/zos.efi", f"{lab.dir}/debug.img")
            disk, _ = place.boot(f"{lab.dir}/debug.img", "failed")
            assert "is not signed" in disk["text"], disk
        with report.case("the same image under other Secure Boot keys does not"):
            disk, _ = place.boot(first, "failed", variables=place.enrolled)
            assert "Secure Boot keys" in disk["text"], disk
        with report.case("the same image on another machine does not"):
            disk, _ = place.boot(first, "failed", tpm="other")
            assert "another TPM" in disk["text"], disk
        with report.case("and none of them has changed anything: the first image opens it again"):
            disk, _ = place.boot(first, "ready")
            assert disk["uuid"] == made["uuid"] and disk["key"] == "tpm", disk
        with report.case("once the TPM was cleared nothing opens it, and it is told why and left alone"):
            shutil.rmtree(f"{lab.dir}/tpm")
            disk, health = place.boot(first, "failed")
            assert "this one was cleared" in disk["text"] and disk["uuid"] == made["uuid"] and not health["ok"], disk
    return report.end()


sys.exit(main())
