"""Firmware that knows who built an image: a key for Secure Boot, and variables that believe it."""
import subprocess

from qemu import OVMF

OWNER = "7a6f7300-0000-4000-8000-000000000002"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


def key_make(folder, name="db", who="who built it"):
    run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={who}/", "-keyout",
        f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt")


def variables_make(folder, *others):
    """Variables of a firmware that believes this certificate, and OTHERS: names of key_make()."""
    cert = f"{folder}/db.crt"
    run("virt-fw-vars", "--input", f"{OVMF}_VARS_4M.fd", "--output", f"{folder}/variables", "--secure-boot",
        "--set-pk", OWNER, cert, "--add-kek", OWNER, cert, *(word for name in ("db", *others) for word in ("--add-db", OWNER, f"{folder}/{name}.crt")))
    return f"{folder}/variables"
