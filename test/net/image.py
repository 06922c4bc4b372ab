#!/usr/bin/python3
"""imaged against Debian's registry and against one that misbehaves: test/net/image.py CASE, inside tools/enter.

The daemon runs as on a node: as its own user, without capabilities, in its sandbox.
"""
import gzip, hashlib, http.server, io, json, os, shutil, socket, ssl, subprocess, sys, tarfile, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import workload
from registry import Registry

BUILD = os.environ.get("ZOS_BUILD", "build/release")
UID = 902
DEADLINE_S = 60


class Refused(Exception):
    """An error reply; args: its varlink name, its sentence."""


class Imaged:
    """The daemon, in a directory of its own, ended with the block."""

    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="zos-imaged-", dir="/run")
        self.at = self.dir.name
        os.chmod(self.at, 0o755)
        os.chown(self.at, UID, UID)
        self.start()
        return self

    def start(self):
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(f"{self.at}/notify")
        os.chmod(f"{self.at}/notify", 0o666)
        ready.settimeout(DEADLINE_S)
        # what it says goes to the test's own output
        self.process = subprocess.Popen(
            [f"{BUILD}/imaged", "--socket", f"{self.at}/sock", "--cache", f"{self.at}/cache", *self.options],
            user=UID, group=UID, extra_groups=[], stdin=subprocess.DEVNULL,
            env={"NOTIFY_SOCKET": f"{self.at}/notify", "ASAN_OPTIONS": "detect_leaks=0"})
        assert b"READY=1" in ready.recv(4096)
        ready.close()
        os.unlink(f"{self.at}/notify")

    def stop(self):
        self.process.terminate()
        status = self.process.wait(DEADLINE_S)
        assert status == 0, f"imaged ended with {status}"

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.dir.cleanup()

    def call(self, method, **parameters):
        """Yields the parameters of each reply; raises Refused."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(DEADLINE_S)
            s.connect(f"{self.at}/sock")
            s.sendall(json.dumps({"method": method, "parameters": parameters, "more": True}).encode() + b"\0")
            data = b""
            while True:
                while b"\0" not in data:
                    more = s.recv(65536)
                    assert more, "imaged hung up"
                    data += more
                one, data = data.split(b"\0", 1)
                reply = json.loads(one)
                if "error" in reply:
                    raise Refused(reply["error"], reply["parameters"].get("message", reply["parameters"]))
                yield reply["parameters"]
                if not reply.get("continues"):
                    return

    def pull(self, reference, registries, digest=""):
        """The last reply, and those before it."""
        replies = list(self.call("zos.Image.Pull", reference=reference, digest=digest, registries=registries))
        return replies[-1], replies[:-1]

    def refused(self, kind, words, *pull):
        try:
            self.pull(*pull)
        except Refused as e:
            assert e.args[0] == kind and words in e.args[1], e.args
            print(f"# refused: {e.args[1]}")
            return
        raise AssertionError(f"taken, and '{words}' was expected")


def trust(registry, ca=None):
    return [{"host": registry.host(), "ca": ca or registry.ca_pem}]


class Mounted:
    """Layers as overlayfs sees them, read-only, from the files in the cache through loop devices."""

    def __init__(self, layers):
        self.layers = layers

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(dir="/run")
        self.done = []
        lower = []
        for i, path in enumerate(self.layers):
            at = f"{self.dir.name}/{i}"
            os.mkdir(at)
            subprocess.run(["mount", "-t", "erofs", "-o", "ro,loop", path, at], check=True)
            self.done.append(at)
            lower.insert(0, at)
        at = f"{self.dir.name}/root"
        os.mkdir(at)
        subprocess.run(["mount", "-t", "overlay", "-o", "ro,lowerdir=" + ":".join(lower), "overlay", at], check=True)
        self.done.append(at)
        return at

    def __exit__(self, *_):
        for at in reversed(self.done):
            subprocess.run(["umount", at], check=True)
        self.dir.cleanup()


def case_pull():
    """By tag: progress, the digest that others see, nginx in the files; again from the cache; with the registry dead."""
    with Registry() as registry, Imaged() as imaged, tempfile.TemporaryDirectory() as tmp:
        registry.push(workload.build("the page", tmp), "lab/nginx", "1")
        name = registry.host() + "/lab/nginx:1"
        began = time.monotonic()
        image, progress = imaged.pull(name, trust(registry))
        print(f"# pulled and converted in {time.monotonic() - began:.2f} s; files of "
              f"{[os.path.getsize(p) for p in image['layers']]} bytes")
        assert image["digest"] == registry.digest("lab/nginx", "1"), image
        assert image["config"]["Entrypoint"] == ["nginx"] and image["config"]["Cmd"] == ["-g", "daemon off;"], image
        kinds = [p["what"] for p in progress]
        assert kinds[0] == "resolving" and "pulling" in kinds and "converting" in kinds, progress
        assert all(p["done"] <= p["total"] for p in progress if p["total"]), progress
        assert len(image["layers"]) == 2 and all(os.stat(p).st_uid == UID for p in image["layers"])
        with Mounted(image["layers"]) as root:
            assert open(f"{root}/var/www/html/index.html").read() == "the page\n"
            subprocess.run(["chroot", root, "/usr/sbin/nginx", "-v"], check=True)
        before = {p: os.stat(p).st_ino for p in image["layers"]}
        registry.push(workload.build("another page", tmp), "lab/nginx", "2")
        other, _ = imaged.pull(registry.host() + "/lab/nginx:2", trust(registry))
        assert other["layers"][0] == image["layers"][0] and other["layers"][1] != image["layers"][1], "the base is shared"
        assert before == {p: os.stat(p).st_ino for p in image["layers"]}, "nothing is converted twice"
        registry.stop()
        again, progress = imaged.pull(name, trust(registry), image["digest"])
        assert again == image and not progress, (again, progress)
        imaged.refused("zos.Failed", "talk to the registry", name, trust(registry))
        imaged.stop()
        imaged.start()
        assert imaged.pull(name, trust(registry), image["digest"]) == (image, []), "the cache outlives the daemon"


CASES = {name.removeprefix("case_"): f for name, f in list(globals().items()) if name.startswith("case_")}


def main():
    name = sys.argv[1]
    print("1..1")
    try:
        CASES[name]()
    except BaseException:
        print(f"not ok 1 - {name}", flush=True)
        raise
    print(f"ok 1 - {name}")


main()
