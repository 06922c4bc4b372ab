"""Firmware that knows who built an image: a key for Secure Boot, and variables that believe it."""
import subprocess

from qemu import OVMF

OWNER = "7a6f7300-0000-4000-8000-000000000002"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


def key_make(folder):
    run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=who built it/", "-keyout",
        f"{folder}/db.key", "-out", f"{folder}/db.crt")


def variables_make(folder):
    """Variables of a firmware that believes this certificate alone."""
    cert = f"{folder}/db.crt"
    run("virt-fw-vars", "--input", f"{OVMF}_VARS_4M.fd", "--output", f"{folder}/variables", "--secure-boot",
        "--set-pk", OWNER, cert, "--add-kek", OWNER, cert, "--add-db", OWNER, cert)
    return f"{folder}/variables"
