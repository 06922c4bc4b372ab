"""Machines on a debug node, without a grid: layers on a disk of the node, a spec written by its shell, `lab` in noded's place."""
import io, json, os, subprocess, tarfile

LAYERS = "/run/zos/lab"


def tar_of(files):
    """FILES: path -> bytes, a link's target as str, None for a directory; (mode, content) to say the mode."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, what in files.items():
            mode, what = what if isinstance(what, tuple) else (0o755, what)
            info = tarfile.TarInfo(path)
            info.mode = mode
            if what is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(what, str):
                info.type, info.linkname = tarfile.SYMTYPE, what
            else:
                info.size = len(what)
            tar.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return out.getvalue()


def busybox_layer():
    files = {p: None for p in ("bin", "etc", "dev", "proc", "sys", "run", "var", "srv", "home", "home/app")}
    files["tmp"] = (0o1777, None)
    files["bin/busybox"] = open("/usr/bin/busybox", "rb").read()
    applets = subprocess.run(["/usr/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    files |= {f"bin/{a}": "busybox" for a in applets if a != "busybox"}
    files["etc/passwd"] = (0o644, b"root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
    files["etc/group"] = (0o644, b"root:x:0:\napp:x:1000:\nwww:x:33:\n")
    return files


def make_layer(files, path):
    """FILES as the EROFS file that imaged would have made of them."""
    with open(f"{path}.tar", "wb") as f:
        f.write(tar_of(files))
    subprocess.run(["mkfs.erofs", "--quiet", f"--tar=f", "--aufs", "-T0", path, f"{path}.tar"], check=True, stdout=subprocess.DEVNULL)
    os.unlink(f"{path}.tar")


def make_disk(layers, folder):
    """A raw disk, EROFS, with one EROFS file a layer: as imaged would have made them from LAYERS. Returns its path."""
    tree = f"{folder}/tree"
    os.makedirs(tree)
    for i, files in enumerate(layers):
        make_layer(files, f"{tree}/{i}.erofs")
    subprocess.run(["mkfs.erofs", "--quiet", f"{folder}/layers.disk", tree], check=True, stdout=subprocess.DEVNULL)
    return f"{folder}/layers.disk"


def take_layers(node):
    """Copies the layers into memory, where imaged keeps them on a node without a data disk."""
    text, status = node.shell(f"mkdir -p {LAYERS} && mount -t erofs -o ro /dev/vda /mnt && cp /mnt/*.erofs {LAYERS}/ && umount /mnt")
    assert status == 0, text


class Machine:
    """One machine of NODE. SPEC: what differs from a small machine that runs /bin/sh -c SCRIPT."""

    def __init__(self, node, ident, isolation, script, n_layers=1, **spec):
        self.node, self.id = node, ident
        text, status = node.shell(f"lab net {ident} {isolation}")
        assert status == 0, text
        self.net = json.loads(text.splitlines()[-1])
        self.spec = {"id": ident, "revision": "1", "hostname": "box", "isolation": isolation, "restart": "never", "cpu_milli": 1000,
                     "memory": 128 << 20, "rootfs_size": 16 << 20, "layers": [f"{LAYERS}/{i}.erofs" for i in range(n_layers)],
                     "argv": ["/bin/sh", "-c", script], "env": ["PATH=/bin", "WORD=of the spec"], "workdir": "/", "user": "0",
                     "stop_signal": "SIGTERM", "resolvers": ["10.0.2.3"], **self.net, **spec}

    def start(self, seconds=120):
        """Starts the runner. Returns what `lab` said when it is up or has failed."""
        at = f"/run/zos/machines/{self.id}"
        self.node.shell(f"mkdir -p {at}")
        text = json.dumps(self.spec)
        for i in range(0, len(text), 600): # the shell takes no longer lines
            part = text[i:i + 600].replace("'", "'\\''")
            self.node.shell(f"printf %s '{part}' {'>>' if i else '>'} {at}/spec.json")
        return self.node.shell(f"lab start {self.id}", seconds)

    def stop(self, seconds=60):
        return self.node.shell(f"lab stop {self.id}", seconds)

    def wait(self, state, seconds=120):
        """The runner's words about STATE, as a dict."""
        text, status = self.node.shell(f"lab wait {self.id} {state}", seconds)
        assert status == 0, text
        return json.loads(text.splitlines()[-1])

    def logs(self):
        """[(stream, line)]"""
        text, status = self.node.shell(f"lab logs {self.id}")
        assert status == 0, text
        return [tuple(line.split(" ", 2)[1:]) for line in text.splitlines() if line.count(" ") >= 2]

    def lines(self, stream="stdout"):
        return [text for s, text in self.logs() if s == stream]
