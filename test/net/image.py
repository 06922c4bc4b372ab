#!/usr/bin/python3
"""imaged against Debian's registry and against one that misbehaves: test/net/image.py CASE, inside tools/enter.

The daemon runs as on a node: as its own user, without capabilities, in its sandbox.
"""
import gzip, hashlib, http.server, io, json, os, shutil, socket, ssl, stat, subprocess, sys, tarfile, tempfile, threading, time, zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import cases
import workload
from registry import Registry

BUILD = os.environ.get("ZOS_BUILD", "build/release")
COUNTS = {k: v for k, v in os.environ.items() if k == "LLVM_PROFILE_FILE"}  # tools/coverage
UID = 902
DEADLINE_S = 60


class Refused(Exception):
    """An error reply; args: its varlink name, its sentence."""


class Imaged:
    """The daemon, in a directory of its own, ended with the block."""

    def __init__(self, *options, room=None):
        """ROOM: the size of a file system of its own, for what may fill it."""
        self.options, self.room = options, room

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="zos-imaged-", dir="/run")
        self.at = self.dir.name
        if self.room:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.room}", "room", self.at], check=True)
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
            env={"NOTIFY_SOCKET": f"{self.at}/notify", "ASAN_OPTIONS": "detect_leaks=0", **COUNTS})
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
        if self.room:
            subprocess.run(["umount", self.at], check=True)
        self.dir.cleanup()

    def call(self, method, files=(), **parameters):
        """Yields the parameters of each reply; raises Refused. FILES go with the call."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(DEADLINE_S)
            s.connect(f"{self.at}/sock")
            text = json.dumps({"method": method, "parameters": parameters, "more": True}).encode() + b"\0"
            sent = socket.send_fds(s, [text], files) if files else 0
            s.sendall(text[sent:])
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

    def pull(self, reference, registries, digest="", **more):
        """The last reply, and those before it."""
        replies = list(self.call("zos.Image.Pull", reference=reference, digest=digest, registries=registries, **more))
        return replies[-1], replies[:-1]

    def refused(self, kind, words, *pull, **more):
        try:
            self.pull(*pull, **more)
        except Refused as e:
            assert e.args[0] == kind and words in e.args[1], e.args
            print(f"# refused: {e.args[1]}")
            return
        raise AssertionError(f"taken, and '{words}' was expected")


def secret(value):
    """A file in memory that holds it, as the engine hands secrets on."""
    fd = os.memfd_create("secret")
    os.write(fd, value.encode())
    return fd


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
        lower += [at] if len(lower) == 1 else [] # overlayfs wants two
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


def case_trust():
    """The right CA is taken, and nothing else beside it."""
    with Registry() as registry, Registry() as other, Imaged() as imaged, tempfile.TemporaryDirectory() as tmp:
        registry.push(workload.build("x", tmp), "nginx")
        name = registry.host() + "/nginx"
        imaged.refused("zos.Failed", "cannot prove who it is", name, trust(registry, other.ca_pem))
        imaged.refused("zos.Failed", "cannot prove who it is", name, [])
        imaged.refused("zos.Failed", "cannot prove who it is", name, [{"host": registry.host(), "ca": ""}])
        imaged.refused("zos.NotFound", "no tag 'nope'", name + ":nope", trust(registry))
        imaged.refused("zos.NotFound", "no image", name + "@sha256:" + "0" * 64, trust(registry))
        imaged.refused("zos.Invalid", "is not [host[:port]/]name", "Not/An/../Image", trust(registry))
        imaged.pull(name, trust(registry))


def case_damage():
    """A flipped byte in the registry's storage is found; nothing of it stays."""
    with Registry() as registry, Imaged() as imaged, tempfile.TemporaryDirectory() as tmp:
        oci = workload.build("x", tmp)
        registry.push(oci, "nginx")
        index = json.load(open(f"{oci}/index.json"))
        manifest = json.load(open(f"{oci}/blobs/sha256/{index['manifests'][0]['digest'][7:]}"))
        path = registry.blob_path(manifest["layers"][0]["digest"])
        with open(path, "r+b") as f:
            f.seek(1000)
            byte = f.read(1)[0]
            f.seek(1000)
            f.write(bytes([byte ^ 1]))
        imaged.refused("zos.Invalid", "damaged or forged part", registry.host() + "/nginx", trust(registry))
        assert os.listdir(f"{imaged.at}/cache/layers") == []
        with open(path, "r+b") as f:
            f.seek(1000)
            f.write(bytes([byte]))
        imaged.pull(registry.host() + "/nginx", trust(registry))
        assert os.listdir(f"{imaged.at}/cache/work") == [], "a slot goes with its pull"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))
    return out.getvalue()


# what things are called: index, manifest, configuration, layer
OCI = [f"application/vnd.oci.image.{kind}" for kind in ("index.v1+json", "manifest.v1+json", "config.v1+json", "layer.v1.tar+gzip")]
DOCKER = [f"application/vnd.docker.{kind}" for kind in ("distribution.manifest.list.v2+json", "distribution.manifest.v2+json", "container.image.v1+json",
                                                         "image.rootfs.diff.tar.gzip")]


class Image:
    """An image in memory: blobs by digest, its manifest, what a registry answers. FILES: name -> content of one layer."""

    def __init__(self, files, pack=gzip.compress, media=None, diff_id=None, tar=None, kinds=OCI):
        tar = tar_of(files) if tar is None else tar
        self.blobs = {}
        layer = pack(tar)
        config = self.blob(json.dumps({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/a"]},
                                       "rootfs": {"type": "layers", "diff_ids": [diff_id or sha256(tar)]}}).encode())
        self.kinds = kinds
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": kinds[1], "config": {"mediaType": kinds[2], **config},
                                    "layers": [{"mediaType": media or kinds[3], **self.blob(layer)}]}).encode()
        self.digest = sha256(self.manifest)

    def blob(self, data):
        self.blobs[sha256(data)] = data
        return {"digest": sha256(data), "size": len(data)}

    def index(self, architecture="amd64"):
        return json.dumps({"schemaVersion": 2, "mediaType": self.kinds[0], "manifests": [
            {"mediaType": self.kinds[1], "digest": self.digest, "size": len(self.manifest),
             "platform": {"os": "linux", "architecture": architecture}}]}).encode()


class Liar(Registry):
    """A registry that does what ANSWER(handler, path) says; without an answer of its own (False) it serves IMAGE. PLAIN: over HTTP."""

    def __init__(self, image, answer=lambda handler, path: False, plain=False):
        super().__init__()
        self.image, self.answer, self.plain, self.asked = image, answer, plain, []

    def start(self):
        liar = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def send(self, status, body=b"", **headers):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                liar.asked.append(self.path)
                kind, _, name = self.path.partition("/v2/x/")[2].partition("/")
                if liar.answer(self, self.path):
                    return
                body = liar.image.manifest if kind == "manifests" else liar.image.blobs.get(name)
                self.send(200, body) if body is not None else self.send(404)

        self.server = http.server.ThreadingHTTPServer((self.address, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.at}/cert.pem", f"{self.at}/key.pem")
        if not self.plain:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def first_layer(image):
    return json.loads(image.manifest)["layers"][0]["digest"]


def case_liars():
    """Registries that break off, send other bytes, send us elsewhere."""
    image = Image({"a": os.urandom(4 << 20)})
    layer = first_layer(image)

    def cut(h, path):
        if layer in path:
            h.send_response(200)
            h.send_header("Content-Length", str(len(image.blobs[layer])))
            h.end_headers()
            h.wfile.write(image.blobs[layer][:1 << 20])
            return True

    def longer(h, path):
        return layer in path and (h.send(200, image.blobs[layer] + b"x") or True)

    def to_http(h, path):
        return "blobs" in path and (h.send(307, Location="http://127.0.0.1/x") or True)

    def to_file(h, path):
        return "blobs" in path and (h.send(307, Location="file:///etc/passwd") or True)

    def round_and_round(h, path):
        return h.send(307, Location=path) or True

    def endless(h, path):
        if "manifests" not in path:
            return False
        h.send_response(200)
        h.end_headers()
        try:
            while True:
                h.wfile.write(b" " * 65536)
        except OSError:
            return True

    def other(h, path):
        return "manifests" in path and (h.send(200, image.manifest + b" ") or True)

    rows = [(cut, "zos.Failed", "talk to the registry"), (longer, "zos.Invalid", "more than the"), (to_http, "zos.Failed", "not HTTPS"),
            (to_file, "zos.Failed", "not HTTPS"), (round_and_round, "zos.Failed", "redirects"), (endless, "zos.Invalid", "more than the"),
            (lambda h, p: h.send(500) or True, "zos.Failed", "HTTP 500"), (lambda h, p: h.send(403) or True, "zos.Denied", "everybody"),
            (lambda h, p: h.send(429) or True, "zos.Busy", "too much"),
            (lambda h, p: h.send(401, WWW_Authenticate='Basic realm="x"') or True, "zos.Denied", "name a user"),
            (lambda h, p: h.send(401, WWW_Authenticate='Digest realm="x"') or True, "zos.Denied", "not known here"),
            (lambda h, p: h.send(200, b"{}") or True, "zos.Invalid", "the manifest")]
    with Imaged() as imaged:
        for answer, kind, words in rows:
            with Liar(image, answer) as liar:
                imaged.refused(kind, words, liar.host() + "/x", trust(liar))
        with Liar(image, other) as liar:
            imaged.refused("zos.Invalid", "other bytes", liar.host() + "/x", trust(liar), image.digest)
        assert os.listdir(f"{imaged.at}/cache/layers") == []


def case_resume():
    """Registries that break off each transfer after a while, with ranges and without; the parts are put together again."""
    image = Image({"a": os.urandom(4 << 20)})
    layer = first_layer(image)
    body = image.blobs[layer]
    ranges = []

    def breaks(h, path, knows_ranges, forge=False):
        if layer not in path:
            return False
        asked = int((h.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        ranges.append(asked)
        first = asked if knows_ranges else 0
        part = body[first:asked + (1 << 20)]
        h.send_response(206 if knows_ranges and asked else 200)
        h.send_header("Content-Length", str(len(body) - first))
        if knows_ranges and asked:
            h.send_header("Content-Range", f"bytes {asked}-{len(body) - 1}/{len(body)}")
        h.end_headers()
        h.wfile.write(bytes(len(part)) if forge and asked else part)
        h.connection.shutdown(socket.SHUT_RDWR) if asked + (1 << 20) < len(body) else None
        return True

    for knows_ranges in (True, False):
        ranges.clear()
        with Imaged() as imaged, Liar(image, lambda h, path: breaks(h, path, knows_ranges)) as liar:
            imaged.pull(liar.host() + "/x", trust(liar))
        assert ranges == sorted(set(ranges)) and len(ranges) >= 4, ranges
    with Imaged() as imaged, Liar(image, lambda h, path: breaks(h, path, True, forge=True)) as liar:
        imaged.refused("zos.Invalid", "damaged or forged", liar.host() + "/x", trust(liar))


def case_layers():
    """Kinds of layers that are taken, and those that are refused."""
    def zstd(data):
        return subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout

    kind = "application/vnd.oci.image.layer.v1.tar"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        t.addfile(tarfile.TarInfo("a"))
        sparse = tarfile.TarInfo("b")
        sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        t.addfile(sparse)
    with Imaged() as imaged:
        hello, layers = {"a": b"hello"}, []
        with Liar(None) as liar:
            for liar.image in (Image(hello), Image(hello, zstd, kind + "+zstd"), Image(hello, bytes, kind)):
                layers.append(imaged.pull(liar.host() + "/x", trust(liar))[0]["layers"])
        assert layers[0] == layers[1] == layers[2], "the same content is one file, however it was packed"
        with Liar(Image(hello)) as other:
            again = imaged.pull(other.host() + "/x", trust(other))[0]["layers"]
        assert again != layers[0] and open(again[0], "rb").read() == open(layers[0][0], "rb").read(), "registries share nothing"
        with Mounted(layers[0]) as root:
            assert open(f"{root}/a").read() == "hello"
        for image, words in ((Image({}, tar=out.getvalue()), "sparse"), (Image({"../a": b"x"}), "climbs out"),
                             (Image({"a": b"x"}, diff_id=sha256(b"")), "is not the one"), (Image({"a": b"x"}, bytes), "not what gzip"),
                             (Image({"a": b"x" * 4096}, lambda d: gzip.compress(d)[:-20]), "ends too early"),
                             (Image({}, tar=b"not a tar" * 100), "not a tar")):
            with Liar(image) as liar:
                imaged.refused("zos.Invalid", words, liar.host() + "/x", trust(liar))
        with Liar(Image({f"f{i}": bytes(os.urandom(4096)) * 1024 for i in range(12)})) as liar: # large enough for workers
            imaged.pull(liar.host() + "/x", trust(liar))
        with Liar(Image({".wh..": b""})) as liar: # mkfs.erofs dies of this name
            imaged.refused("zos.Failed", "mkfs.erofs", liar.host() + "/x", trust(liar))


def case_protocol():
    """An anonymous token, an index, one child for two who ask, an end when nobody asks any more."""
    image = Image({"a": b"hello"})
    with Imaged() as imaged:
        def token(h, path):
            if path.startswith("/token"):
                assert path == "/token?scope=repository%3Ax%3Apull&service=lab", path
                return h.send(200, b'{"token":"open"}') or True
            if h.headers.get("Authorization") != "Bearer open":
                return h.send(401, WWW_Authenticate=f'Bearer realm="https://{liar.host()}/token",service="lab"') or True

        with Liar(image, token) as liar:
            imaged.pull(liar.host() + "/x", trust(liar))
        with Liar(image, lambda h, p: p.endswith("/latest") and (h.send(200, image.index()) or True)) as liar:
            assert imaged.pull(liar.host() + "/x", trust(liar))[0]["digest"] == image.digest
        with Liar(image, lambda h, p: p.endswith("/latest") and (h.send(200, image.index("arm64")) or True)) as liar:
            imaged.refused("zos.NotFound", "it has: linux/arm64", liar.host() + "/x", trust(liar))
        docker, asked = Image({"a": b"hello"}, kinds=DOCKER), []

        def docker_list(h, path):
            asked.append(h.headers.get("Accept", ""))
            return path.endswith("/latest") and (h.send(200, docker.index(), Content_Type=DOCKER[0]) or True)

        with Liar(docker, docker_list) as liar:
            pulled = imaged.pull(liar.host() + "/x", trust(liar))[0]
            assert pulled["digest"] == docker.digest and all(kind in asked[0] for kind in (*DOCKER[:2], *OCI[:2])), (pulled, asked)
            with Mounted(pulled["layers"]) as root:
                assert open(f"{root}/a").read() == "hello"
        other = Image({"b": b"slow"})
        go = threading.Event()
        with Liar(other, lambda h, p: first_layer(other) in p and not go.wait(DEADLINE_S)) as liar:
            calls = [imaged.call("zos.Image.Pull", reference=liar.host() + "/x", registries=trust(liar)) for _ in range(3)]
            for call in calls:
                while next(call)["what"] != "pulling":
                    pass
            calls[0].close() # one goes, the others stay
            go.set()
            assert [list(call)[-1]["digest"] for call in calls[1:]] == [other.digest] * 2
            assert len([p for p in liar.asked if "manifests" in p]) == 1, liar.asked
        gone = Image({"c": b"never"})
        never = threading.Event()
        with Liar(gone, lambda h, p: first_layer(gone) in p and not never.wait(DEADLINE_S)) as liar:
            call = imaged.call("zos.Image.Pull", reference=liar.host() + "/x", registries=trust(liar))
            while next(call)["what"] != "pulling":
                pass
            children = f"/proc/{imaged.process.pid}/task/{imaged.process.pid}/children"
            child = open(f"/proc/{open(children).read().split()[0]}/status").read()
            assert "Seccomp_filters:\t2\n" in child, f"a pull is confined further than the daemon\n{child}"
            call.close()
            deadline = time.monotonic() + DEADLINE_S
            while open(children).read().split():
                assert time.monotonic() < deadline, "the child lives on"
                os.sched_yield()
            never.set()


def case_login():
    """Debian's registry with a password file, then one with tokens; and what was pulled with a password is its owner's alone."""
    def login(user, password, owner="UA"):
        return {"user": user, "owner": owner, "password": 0, "files": [secret(password)]}

    with Registry(login=("shop", "pass word:1")) as registry, Imaged() as imaged, tempfile.TemporaryDirectory() as tmp:
        registry.push(workload.build("private", tmp), "shop/nginx")
        name, ca = registry.host() + "/shop/nginx", trust(registry)
        image, _ = imaged.pull(name, ca, **login("shop", "pass word:1"))
        assert image["digest"] == registry.digest("shop/nginx")
        imaged.refused("zos.Denied", "does not let 'shop' pull", name, ca, **login("shop", "wrong"))
        imaged.refused("zos.Denied", "does not let 'nobody' pull", name, ca, **login("nobody", "pass word:1"))
        imaged.refused("zos.Denied", "name a user and a secret in the workload's 'pull'", name, ca)
        imaged.refused("zos.Denied", "does not let everybody", name + "@" + image["digest"], ca)
        imaged.refused("zos.Denied", "does not let everybody", name, ca, image["digest"])
        imaged.refused("zos.Denied", "does not let 'shop'", name, ca, image["digest"], **login("shop", "wrong", "UB"))
        imaged.refused("zos.Invalid", "nobody is named whose image it is", name, ca, user="shop")
        imaged.refused("zos.Invalid", "did not come with the call", name, ca, user="shop", owner="UA", password=0)
        other, steps = imaged.pull(name, ca, image["digest"], **login("shop", "pass word:1", "UB"))
        assert other["layers"] != image["layers"] and "pulling" in [s["what"] for s in steps], "another owner gets nothing from the cache"
        registry.stop()
        assert imaged.pull(name, ca, image["digest"], **login("shop", "any")) == (image, []), "its owner does, also without a registry"

    image, asked = Image({"a": b"hello"}), []
    def token(h, path):
        asked.append((path.partition("?")[0], h.headers.get("Authorization")))
        if path.startswith("/token"):
            good = h.headers.get("Authorization") == "Basic dTpw"
            return h.send(*((200, b'{"token":"open"}') if good else (401, b"{}"))) or True
        if h.headers.get("Authorization") != "Bearer open":
            return h.send(401, WWW_Authenticate=f'Bearer realm="https://{liar.host()}/token",service="lab"') or True

    with Imaged() as imaged, Liar(image, token) as liar:
        imaged.pull(liar.host() + "/x", trust(liar), **login("u", "p"))
        assert all(a == "Basic dTpw" for path, a in asked if path == "/token"), asked
        assert all(a in (None, "Bearer open") for path, a in asked if path != "/token"), "the password went where no token is made"
        imaged.refused("zos.Denied", "does not let 'u' pull", liar.host() + "/x", trust(liar), **login("u", "q", "UB"))
    leaked = []
    with Imaged() as imaged, Liar(image, lambda h, path: leaked.append(h.headers.get("Authorization"))) as elsewhere:
        def sends_on(h, path):
            if not h.headers.get("Authorization"):
                return h.send(401, WWW_Authenticate='Basic realm="x"') or True
            return "blobs" in path and (h.send(307, Location=f"https://{elsewhere.host()}{path}") or True)

        both = [{"host": h.host(), "ca": h.ca_pem + elsewhere.ca_pem} for h in [elsewhere]]
        with Liar(image, sends_on) as liar:
            imaged.pull(liar.host() + "/x", [{"host": liar.host(), "ca": liar.ca_pem + elsewhere.ca_pem}, *both], **login("u", "p"))
        assert leaked and not any(leaked), f"a redirect carried the password elsewhere: {leaked}"


def case_plain():
    """Plain HTTP where the farm says so and nowhere else, never with a password, and no way there from elsewhere."""
    image = Image({"a": b"hello"})
    with Imaged() as imaged, Liar(image, plain=True) as plain:
        name, allowed = plain.host() + "/x", [{"host": plain.host(), "ca": "", "plain": True}]
        imaged.refused("zos.Failed", f"'zos farm registry {plain.host()} --plain'", name, [])
        imaged.refused("zos.Failed", f"'zos farm registry {plain.host()} --plain'", name, [{"host": "127.0.0.1:1", "ca": "", "plain": True}])
        assert not plain.asked, "nothing was said in clear"
        assert imaged.pull(name, allowed)[0]["digest"] == image.digest
        imaged.refused("zos.Denied", "would cross the network in clear", name, allowed, user="u", owner="UA", password=0, files=[secret("p")])
        other = Image({"b": b"there"})
        with Liar(other, lambda h, p: "blobs" in p and (h.send(307, Location=f"http://{plain.host()}{p}") or True)) as liar:
            plain.image = other
            imaged.refused("zos.Failed", "not HTTPS", liar.host() + "/x", trust(liar) + allowed)
        forged = Image({"c": b"forged"})
        with Liar(forged, lambda h, p: first_layer(forged) in p and (h.send(200, bytes(len(forged.blobs[first_layer(forged)]))) or True),
                  plain=True) as liar:
            imaged.refused("zos.Invalid", "damaged or forged", liar.host() + "/x", [{"host": liar.host(), "ca": "", "plain": True}])


def case_patience():
    """A registry that hangs, wherever it does, is given up on, and keeps nobody else waiting."""
    image, other = Image({"a": os.urandom(1 << 20)}), Image({"b": b"quick"})
    never = threading.Event()

    def hangs(where):
        return lambda h, path: where in path and not never.wait(DEADLINE_S) and False

    def drips(h, path):
        """A first byte, and then none."""
        if first_layer(image) not in path:
            return False
        h.send_response(200)
        h.send_header("Content-Length", str(len(image.blobs[first_layer(image)])))
        h.end_headers()
        h.wfile.write(b"x")
        h.wfile.flush()
        never.wait(DEADLINE_S)
        return True

    with Imaged("--stall", "2") as imaged:
        for answer in (hangs("manifests"), hangs(first_layer(image)), drips):
            with Liar(image, answer) as liar:
                imaged.refused("zos.Failed", "nothing moved for 2 s", liar.host() + "/x", trust(liar))
        with socket.create_server(("127.0.0.1", 0)) as silent: # takes connections and says nothing, not even in TLS
            imaged.refused("zos.Failed", "nothing moved for 2 s", f"127.0.0.1:{silent.getsockname()[1]}/x", [])
        push = Push(imaged)
        assert "nothing moved for 2 s" in push.lines()[-1], "a push that brings nothing is no better"
    with Imaged() as imaged, Liar(image, hangs("manifests")) as slow, Liar(other) as quick:
        blocked = [imaged.call("zos.Image.Pull", reference=f"{slow.host()}/x:{i}", registries=trust(slow), owner="UA") for i in range(20)]
        for call in blocked[:4]:
            assert next(call)["what"] == "resolving"
        began = [threading.Thread(target=lambda c=c: next(c, None), daemon=True) for c in blocked[4:]]
        for t in began:
            t.start()
        assert imaged.pull(quick.host() + "/x", trust(quick), owner="UB")[0]["digest"] == other.digest
        children = f"/proc/{imaged.process.pid}/task/{imaged.process.pid}/children"
        assert len(open(children).read().split()) == 4, "an owner's pulls run four at a time"
        never.set()
        imaged.stop()


class Push:
    """An archive on its way to the daemon; lines() are what comes back."""

    def __init__(self, imaged, name="app", owner="UA"):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(DEADLINE_S)
        list(imaged.call("zos.Image.Push", owner=owner, name=name, files=[theirs.fileno()]))
        theirs.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError: # it has heard enough, and says why
            pass
        return self

    def end(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self.lines()[-1]

    def lines(self):
        data = b""
        while more := self.socket.recv(65536):
            data += more
        self.socket.close()
        return data.decode().splitlines()


def layout(image, **changes):
    """The files of IMAGE as an OCI layout."""
    blobs = {**image.blobs, image.digest: image.manifest}
    return {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": image.index(), **changes,
            **{f"blobs/sha256/{d[7:]}": b for d, b in blobs.items()}}


def case_push():
    """An archive of skopeo's, and what is wrong with others; an owner's images are theirs; lists; what is in use stays."""
    with Imaged() as imaged, tempfile.TemporaryDirectory() as tmp:
        oci = workload.build("pushed", tmp)
        subprocess.run(["skopeo", "--insecure-policy", "--tmpdir", tmp, "copy", "--quiet", f"oci:{oci}:latest", f"oci-archive:{tmp}/a.tar"], check=True)
        archive = open(f"{tmp}/a.tar", "rb").read()
        push = Push(imaged).send(archive)
        push.socket.shutdown(socket.SHUT_WR)
        lines = push.lines()
        assert lines[-1].startswith("done sha256:") and any(l.startswith("progress converting") for l in lines), lines
        digest = lines[-1][5:]
        name = f"local/app@{digest}"
        got, steps = imaged.pull(name, [], owner="UA", holder="w1")
        assert got["digest"] == digest and got["config"]["Entrypoint"] == ["nginx"] and not steps
        with Mounted(got["layers"]) as root:
            assert open(f"{root}/var/www/html/index.html").read() == "pushed\n"
        imaged.refused("zos.NotFound", "'zos image push FILE' brings it", name, [], owner="UB")
        imaged.refused("zos.Invalid", "nobody is named", name, [])
        imaged.refused("zos.Invalid", "is named by its digest", "local/app:1", [], owner="UA")
        assert Push(imaged).send(archive).end() == f"done {digest}", "the same again is fine"
        assert Push(imaged, owner="UB").send(archive).end() == f"done {digest}"

        images = next(imaged.call("zos.Image.List"))["images"]
        rows = {(i["owner"], i["reference"], tuple(i["holders"])) for i in images}
        assert rows == {("UA", name, ("w1",)), ("UB", name, ())}, rows
        assert all(i["size"] >= sum(os.stat(p).st_blocks * 512 for p in got["layers"]) > 0 for i in images), images
        assert list(imaged.call("zos.Image.Prune", owner="UA")) == [{"images": 0, "bytes": 0}], "another's stays, and what is in use"
        gone = next(imaged.call("zos.Image.Prune"))
        assert gone["images"] == 1 and gone["bytes"] > 0, gone
        assert imaged.pull(name, [], owner="UA")[0] == got
        imaged.refused("zos.NotFound", "brings it", name, [], owner="UB")
        list(imaged.call("zos.Image.Release", holder="w1"))
        assert next(imaged.call("zos.Image.Prune", owner="UA"))["images"] == 1
        assert os.listdir(f"{imaged.at}/cache/layers") == [] == os.listdir(f"{imaged.at}/cache/images")

        image = Image({"a": os.urandom(100000)})
        files = layout(image)
        assert Push(imaged).send(tar_of(files)).end() == f"done {image.digest}"
        layer = f"blobs/sha256/{first_layer(image)[7:]}"
        foreign = Image({"a": b"x"})
        rows = [({layer: files[layer][:-1] + b"x"}, "damaged or forged part"), ({layer: None}, "lacks the layer"),
                ({"index.json": None}, "no index.json"), ({"index.json": b"{}"}, "'schemaVersion' is missing"), ({"index.json": image.index("arm64")}, "linux/arm64"),
                ({"index.json": foreign.index()}, "lacks the part"), ({"blobs/sha256/short": b""}, "no digest"),
                ({"blobs/sha256/../../x": b""}, "climbs out"), ({"index.json": b" " * (5 << 20)}, "more than")]
        for change, words in rows:
            changed = {n: b for n, b in {**files, **change}.items() if b is not None}
            last = Push(imaged, owner="UC").send(tar_of(changed)).end()
            assert last.startswith("failed ") and words in last, (words, last)
        for data, words in ((b"", "no index.json"), (archive[:len(archive) // 2], "not all of it came"), (gzip.compress(archive), "not a tar"),
                            (os.urandom(100000), "not a tar")):
            last = Push(imaged, owner="UC").send(data).end()
            assert last.startswith("failed ") and words in last, (words, last)
        try:
            Push(imaged, name="Not/Fine")
            raise AssertionError("taken under any name")
        except Refused as e:
            assert "is no name for an image" in e.args[1], e.args
        assert not [i for i in next(imaged.call("zos.Image.List"))["images"] if i["owner"] == "UC"]
        assert os.listdir(f"{imaged.at}/cache/work") == []


def entries(*rows):
    """A tar of (name, type, link or content, device)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, kind, value, device in rows:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(value)
            elif value:
                info.linkname = value
            info.devmajor, info.devminor = device
            t.addfile(info, io.BytesIO(value) if kind == tarfile.REGTYPE else None)
    return out.getvalue()


class Packed(Image):
    """An image whose one layer is packed already, for what is too large to hold: DIFF_ID is what it says of itself."""

    def __init__(self, layer, diff_id):
        super().__init__({}, pack=lambda _: layer, diff_id=diff_id)


def gzip_of(blocks):
    """The packed stream of many blocks, and the digest of what it unpacks to."""
    packer, total, parts = zlib.compressobj(1, zlib.DEFLATED, 31), hashlib.sha256(), []
    for block in blocks:
        total.update(block)
        parts.append(packer.compress(block))
    return b"".join(parts) + packer.flush(), "sha256:" + total.hexdigest()


def case_hostile():
    """Names that lead out, devices, and archives that are meant to use up what there is."""
    plain, hard, soft, char = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE
    none = (0, 0)
    with Imaged() as imaged:
        good = entries(("a", plain, b"hello", none), ("b", hard, "a", none), ("out", soft, "/etc/passwd", none), ("up", soft, "../../etc/passwd", none),
                       ("dev/zero", char, None, (1, 5)))
        with Liar(Image({}, tar=good)) as liar:
            layers = imaged.pull(liar.host() + "/x", trust(liar))[0]["layers"]
            with Mounted(layers) as root: # links are kept as links: they are followed inside the machine's root, and there alone
                assert os.readlink(f"{root}/out") == "/etc/passwd" and os.readlink(f"{root}/up") == "../../etc/passwd"
                assert os.stat(f"{root}/b").st_ino == os.stat(f"{root}/a").st_ino and open(f"{root}/b").read() == "hello"
                assert stat.S_ISCHR(os.stat(f"{root}/dev/zero").st_mode)
            subprocess.run(["mount", "-t", "erofs", "-o", "ro,loop,nodev", layers[0], "/mnt"], check=True) # as machines get it
            try:
                open("/mnt/dev/zero", "rb")
                raise AssertionError("a layer's device can be opened")
            except PermissionError:
                pass
            finally:
                subprocess.run(["umount", "/mnt"], check=True)
        pax = tarfile.TarInfo("b")
        pax.type, pax.pax_headers = hard, {"linkpath": "../../etc/passwd"}
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
            t.addfile(pax)
        rows = [(entries(("a/../../b", plain, b"x", none)), "zos.Invalid", "climbs out"), (entries(("..", plain, b"x", none)), "zos.Invalid", "climbs out"),
                (entries(("b", hard, "../../etc/passwd", none)), "zos.Invalid", "climbs out"), (out.getvalue(), "zos.Invalid", "climbs out"),
                (entries(("b", hard, "/etc/passwd", none)), "zos.Failed", "mkfs.erofs")]
        for tar, kind, words in rows:
            with Liar(Image({}, tar=tar)) as liar:
                imaged.refused(kind, words, liar.host() + "/x", trust(liar))
        for body in (os.urandom(4096), b"\0" * 4096, b"[" * 4096, b"{" + b'"a":' * 4096):
            with Liar(Image({"a": b"x"}), lambda h, p: "manifests" in p and (h.send(200, body) or True)) as liar:
                imaged.refused("zos.Invalid", "the manifest: not JSON", liar.host() + "/x", trust(liar))
        one = entries(("a", plain, b"", none))[:512]
        many, digest = gzip_of([one * 1000] * 1001)
        with Liar(Packed(many, digest)) as liar:
            imaged.refused("zos.Invalid", "more than 1000000 entries", liar.host() + "/x", trust(liar))
        with Liar(Packed(*gzip_of([one] * 1000 + [bytes(1024)]))) as liar:
            imaged.pull(liar.host() + "/x", trust(liar))
    head = tarfile.TarInfo("zeros")
    head.size = 4 << 30
    bomb = gzip_of([head.tobuf(tarfile.GNU_FORMAT)] + [bytes(1 << 20)] * 4096 + [bytes(1024)])
    with Imaged(room="256m") as imaged, Liar(Packed(*bomb)) as liar:
        assert len(bomb[0]) < 32 << 20
        imaged.refused("zos.NoCapacity", "room", liar.host() + "/x", trust(liar))
        assert os.listdir(f"{imaged.at}/cache/work") == [] == os.listdir(f"{imaged.at}/cache/layers")
        liar.image = Image({"a": b"small"})
        imaged.pull(liar.host() + "/x", trust(liar))


PROBE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char other[300], line[300], byte;
	snprintf(other, sizeof(other), "%.*s/../../images", (int)(strrchr(argv[argc - 2], '/') - argv[argc - 2]), argv[argc - 2]);
	int n = snprintf(line, sizeof(line), "passwd=%d host=%d records=%d socket=%d ptrace=%d exec=%d root=%d\n",
		open("/etc/passwd", O_RDONLY) >= 0, open("/zos/meson.build", O_RDONLY) >= 0, open(other, O_RDONLY) >= 0,
		socket(AF_INET, SOCK_STREAM, 0) >= 0, ptrace(PTRACE_TRACEME, 0, 0, 0) == 0,
		execl("/usr/bin/env", "env", (char *)0) == 0, setuid(0) == 0);
	int in = open(argv[argc - 1], O_RDONLY), out = open(argv[argc - 2], O_WRONLY | O_CREAT, 0600);
	while (n > 0 && read(in, &byte, 1) == 1 && byte != 'E')
		;
	return out < 0 || write(out, line, n) != n;
}
"""


def case_sandbox():
    """What converts a layer can do that and nothing else; the daemon holds no rights."""
    image = Image({"a": b"hello E"})
    with tempfile.TemporaryDirectory(dir="/run") as tmp:
        os.chmod(tmp, 0o755)
        with open(f"{tmp}/probe.c", "w") as f:
            f.write(PROBE)
        subprocess.run(["cc", "-o", f"{tmp}/probe", f"{tmp}/probe.c"], check=True)
        with Imaged("--mkfs", f"{tmp}/probe") as imaged, Liar(image) as liar:
            got, _ = imaged.pull(liar.host() + "/x", trust(liar))
            said = open(got["layers"][0]).read()
            assert said == "passwd=0 host=0 records=0 socket=0 ptrace=0 exec=0 root=0\n", said
            status = dict(line.split(":\t", 1) for line in open(f"/proc/{imaged.process.pid}/status").read().splitlines())
            assert status["Uid"].split() == [str(UID)] * 4 and status["Groups"].split() == [], status
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                assert int(status[name], 16) == 0, name
            assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", status


def case_room():
    """Past the limit the least recently used layers go, with the records that need them."""
    images = [Image({f"f{i}": os.urandom(4 << 20)}) for i in range(4)]
    with Imaged("--limit", "14MiB") as imaged, Liar(None) as liar:
        def pull(image, **more):
            liar.image = image
            return imaged.pull(liar.host() + "/x", trust(liar), **more)[0]

        def age():
            for folder, _, files in os.walk(f"{imaged.at}/cache"):
                for name in files:
                    at = os.stat(f"{folder}/{name}").st_mtime - 1000
                    os.utime(f"{folder}/{name}", (at, at))

        def kept():
            return {f"sha256:{n.split('-')[1]}" for n in os.listdir(f"{imaged.at}/cache/images")}

        first = pull(images[0], holder="w1")
        for image in images[1:]:
            age()
            pull(image)
        assert len(os.listdir(f"{imaged.at}/cache/layers")) == 3
        assert kept() == {images[0].digest, images[2].digest, images[3].digest}, "the oldest is held, the second oldest went"
        imaged.stop()
        imaged.start()
        assert list(imaged.call("zos.Image.Holders")) == [{"holders": ["w1"]}], "holders outlive the daemon"
        list(imaged.call("zos.Image.Release", holder="w1"))
        age()
        assert pull(images[1])["layers"]
        assert kept() == {images[1].digest, images[2].digest, images[3].digest}, kept()
        assert pull(images[0]) == first, "what went can come back"


CASES = {name.removeprefix("case_"): f for name, f in list(globals().items()) if name.startswith("case_")}
cases.run(CASES)
