"""A registry for tests and the demo: Debian's docker-registry with TLS on a free port, gone when the block ends.

    with Registry() as registry:
        registry.push(oci_dir, "nginx", "1")
        reference = registry.host("10.0.2.2") + "/nginx:1"      # as a guest on QEMU's user network says it
        trust = registry.ca_pem

With login=("user", "password") only they may push and pull.
"""
import ctypes, os, select, signal, socket, ssl, subprocess, tempfile, time

CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {at}/data}}
  delete: {{enabled: true}}
  redirect: {{disable: true}}
http:
  addr: {address}:{port}
  tls: {{certificate: {at}/cert.pem, key: {at}/key.pem}}
"""


AUTH = """auth:
  htpasswd: {{realm: lab, path: {at}/htpasswd}}
"""


def bcrypt(password):
    """As htpasswd writes it, by the C library's crypt()."""
    libcrypt = ctypes.CDLL("libcrypt.so.1")
    libcrypt.crypt.restype = ctypes.c_char_p
    return libcrypt.crypt(password.encode(), b"$2b$04$" + b"abcdefghijklmnopqrstuu").decode()


class Registry:
    def __init__(self, address="127.0.0.1", login=None):
        self.address, self.process, self.login = address, None, login

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="zos-registry-")
        self.at = self.dir.name
        try:
            self.make_certificate()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        self.dir.cleanup()

    def make_certificate(self):
        """A certificate that is its own authority, for the names by which the host is known to itself and to a guest."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-keyout", f"{self.at}/key.pem", "-out", f"{self.at}/cert.pem", "-subj", "/CN=zos test registry",
                        "-addext", "subjectAltName=IP:127.0.0.1,IP:10.0.2.2,DNS:localhost"], check=True, capture_output=True)
        self.ca_pem = open(f"{self.at}/cert.pem").read()

    def start(self, port=0, seconds=20):
        """Starts it, on a free port unless PORT is given, and waits until it answers."""
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((self.address, port))
            self.port = s.getsockname()[1]
        with open(f"{self.at}/config.yml", "w") as f:
            f.write((CONFIG + (AUTH if self.login else "")).format(at=self.at, address=self.address, port=self.port))
        if self.login:
            with open(f"{self.at}/htpasswd", "w") as f:
                f.write(f"{self.login[0]}:{bcrypt(self.login[1])}\n")
        with open(f"{self.at}/log", "a") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", f"{self.at}/config.yml"], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env={**os.environ, "OTEL_TRACES_EXPORTER": "none"})
        deadline = time.monotonic() + seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the registry does not come up:\n" + open(f"{self.at}/log").read()[-2000:])
            select.select([], [], [], 0.02)

    def answers(self):
        context = ssl.create_default_context(cadata=self.ca_pem)
        try:
            with socket.create_connection((self.address, self.port), 1) as s, context.wrap_socket(s, server_hostname="127.0.0.1") as t:
                t.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
                return (b" 401 " if self.login else b" 200 ") in t.recv(64)
        except OSError:
            return False

    def stop(self):
        """Ends it at once; what was pushed stays for the next start()."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process = None

    def host(self, address="127.0.0.1"):
        return f"{address}:{self.port}"

    def skopeo(self, *argv):
        done = subprocess.run(["skopeo", "--insecure-policy", "--tmpdir", self.at, *argv], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"skopeo {argv[0]} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def creds(self, option):
        return [option, ":".join(self.login)] if self.login else []

    def push(self, oci_dir, name, tag="latest", image_tag="latest", *more):
        """Pushes the image IMAGE_TAG of the layout OCI_DIR as NAME:TAG."""
        self.skopeo("copy", "--quiet", "--dest-tls-verify=false", *self.creds("--dest-creds"), *more, f"oci:{oci_dir}:{image_tag}",
                    f"docker://{self.host()}/{name}:{tag}")

    def digest(self, name, tag="latest"):
        return self.skopeo("inspect", "--tls-verify=false", *self.creds("--creds"), "--format", "{{.Digest}}", f"docker://{self.host()}/{name}:{tag}").strip()

    def blob_path(self, digest):
        """Where the registry keeps a blob, for tests that damage it."""
        hex = digest.removeprefix("sha256:")
        return f"{self.at}/data/docker/registry/v2/blobs/sha256/{hex[:2]}/{hex}/data"
