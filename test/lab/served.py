"""A disk that a program serves: when that stands still, the disk does not answer; when it ends, the disk answers nothing but errors."""
import contextlib, os, subprocess

from lab import until


@contextlib.contextmanager
def served(path):
    """Yields (program, arguments of QEMU)."""
    sock = f"{path}.sock"
    program = subprocess.Popen(["qemu-nbd", "--socket", sock, "--format=raw", "--persistent", "--discard=unmap", path])
    try:
        until("it is served", lambda: os.path.exists(sock))
        yield program, ["-blockdev", f"driver=nbd,node-name=served,server.type=unix,server.path={sock}",
                        "-device", "virtio-blk-pci,drive=served,serial=served"]
    finally:
        program.kill()
        program.wait()
