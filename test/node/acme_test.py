#!/usr/bin/python3
"""HTTPS of published names on a booted node, with certificates of an ACME server on the public network: they outlive what dies, and the node's own restart."""
import contextlib, os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Failed, Lab, refused, until
from lan import Computer, Lan
from qemu import Report
from storage import Storage

ADDRESS, ROUTER, PORT = "192.0.2.180", Lan.ip(9), 14000  # the computer is the router, the ACME server, and the backend
DIRECTORY = f"https://{ROUTER}:{PORT}/directory"
FIRST, LOST, LATER = "www.example.org", "lost.example.org", "later.example.org"
PAGE = "a page over there"
SHOWN = "<script>document.write(`drawn by ${location.protocol}, secure: ${window.isSecureContext}`)</script>"


class Owner(Storage):
    def __init__(self, lab, computer, directory):
        self.lab, self.computer, self.dir, self.acme, self.node = lab, computer, directory, None, None

    def serve(self):
        """The ACME server: it leads to the gateway what it knows."""
        names = [f"{n}={ADDRESS}" for n in (FIRST, LATER)]
        self.acme = subprocess.Popen(self.computer.words("python3", "test/lab/acme.py", self.dir, ROUTER, str(PORT), "3600", *names), stdout=subprocess.PIPE)
        assert self.acme.stdout.readline().strip() == b"it listens"

    def leave(self):
        if self.acme:
            self.acme.kill()
            self.acme.communicate()
        self.acme = None

    def seen(self):
        with open(f"{self.dir}/seen") as f:
            return f.read().splitlines()

    def publish(self, deployment, fqdn, **data):
        self.put(deployment, {"name": "site", "type": "gateway-fqdn-proxy", "data": {"fqdn": fqdn, "backends": [f"{ROUTER}:8080"], **data}})

    def page(self, name, scheme="https", path=""):
        """Its text, with a chain of certificates that holds; "" = none."""
        port = {"https": 443, "http": 80}[scheme]
        got = self.computer.run("curl", "-s", "-m", "10", "--cacert", f"{self.dir}/ca.pem", "--resolve", f"{name}:{port}:{ADDRESS}", f"{scheme}://{name}/{path}", check=False)
        return got.stdout.strip() if not got.returncode else ""

    def session(self, name, *more):
        """What a TLS client of OpenSSL's says of it."""
        return self.computer.run("openssl", "s_client", "-connect", f"{ADDRESS}:443", "-servername", name, "-CAfile", f"{self.dir}/ca.pem", *more, stdin=-3, check=False)

    def drawn(self, home, url):
        """What a browser whose owner's folder is HOME makes of it, or why it refuses."""
        rules = f"MAP {FIRST} {ADDRESS}"
        got = self.computer.run("env", f"HOME={home}", "chromium-headless-shell", "--no-sandbox", "--disable-gpu", f"--host-resolver-rules={rules}", "--dump-dom", url, check=False)
        return got.stdout + got.stderr

    def serial(self, name):
        cert = self.session(name).stdout
        return self.computer.run("openssl", "x509", "-noout", "-serial", input=cert, check=False).stdout.strip()

    def kept(self):
        """Files of the node's state that have a key."""
        return self.node.shell("grep -rls 'PRIVATE KEY' /zos/disks/*/state/gateway")[0].split()

    def name(self, fqdn):
        try:
            return next((n for n in self.lab.zos_json("gateway", "list") if n["fqdn"] == fqdn), {})
        except Failed:  # the node is away
            return {}


@contextlib.contextmanager
def backend(computer):
    with tempfile.TemporaryDirectory() as site:
        with open(f"{site}/index.html", "w") as f:
            f.write(PAGE)
        with open(f"{site}/shown.html", "w") as f:
            f.write(SHOWN)
        server = subprocess.Popen(computer.words("python3", "-m", "http.server", "--bind", ROUTER, "-d", site, "8080"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            server.kill()
            server.wait()


def had(s, role, report):
    with report.case("a farm that names no ACME server has HTTP alone; one that does names it by https"):
        s.lab.zos(*role)
        s.publish("blog", FIRST)
        s.wait_state("blog", "site", "ok")
        assert s.page(FIRST, "http") == PAGE and not s.page(FIRST) and "certificate" not in s.name(FIRST)
        with refused("is not the https:// URL"):
            s.lab.zos(*role, "--acme", f"http://{ROUTER}/directory")
    with report.case("with an ACME server the name has HTTPS, with a chain that holds, and a key that a quantum computer cannot find"):
        s.lab.zos(*role, "--acme", DIRECTORY, "--acme-ca", f"{s.dir}/ca.pem", "--acme-email", "host@example.org")
        until("it has HTTPS", lambda: s.page(FIRST) == PAGE, 120)
        said = s.session(FIRST)
        assert "Verify return code: 0 (ok)" in said.stdout and re.search(r"group: X25519MLKEM768", said.stdout), said.stdout
        assert "Protocol: TLSv1.2" in s.session(FIRST, "-tls1_2").stdout and s.session(FIRST, "-tls1_1").returncode
        assert s.page(FIRST, "http") == PAGE
        until("it is told", lambda: "certificate" in s.name(FIRST), 30)
        row = s.name(FIRST)
        assert row["state"] == "ok" and re.fullmatch(r"20\d\d-.*Z", row["certificate"]["until"]), row
        assert row["certificate"]["until"][:10] in s.lab.zos("gateway", "list")
        assert s.seen().count("account mailto:host@example.org") == 1 and s.seen().count(f"order {FIRST}") == 1, s.seen()
    with report.case("a browser draws the page as a secure one, and refuses it where it does not trust the authority"):
        trusts, strange = f"{s.dir}/trusts", f"{s.dir}/strange"
        for home in (trusts, strange):
            os.makedirs(f"{home}/.pki/nssdb")
            subprocess.run(["certutil", "-d", f"sql:{home}/.pki/nssdb", "-N", "--empty-password"], check=True)
        subprocess.run(["certutil", "-d", f"sql:{trusts}/.pki/nssdb", "-A", "-t", "C,,", "-n", "tests", "-i", f"{s.dir}/ca.pem"], check=True)
        url = f"https://{FIRST}/shown.html"
        seen = s.drawn(trusts, url)
        assert "drawn by https:, secure: true" in seen, seen
        seen = s.drawn(strange, url)
        assert "ERR_CERT_AUTHORITY_INVALID" in seen and "drawn by" not in seen, seen
    with report.case("a name that nobody published has none; one that does not lead here is told so, and holds nobody up"):
        assert "BEGIN CERTIFICATE" not in s.session("nobody.example.org").stdout
        s.publish("lost", LOST)
        until("it is told", lambda: "nobody knows lost.example.org" in s.name(LOST).get("message", ""), 60)
        assert s.name(LOST)["state"] == "ok" and s.page(LOST, "http") == PAGE and not s.page(LOST) and s.page(FIRST) == PAGE, s.name(LOST)


def shut(s, report):
    with report.case("who gets certificates is as SECURITY.md says, and nobody's files have a name's key"):
        pids = s.node.shell("for p in $(pidof gateway); do grep -q '^Uid:.912' /proc/$p/status && echo $p; done")[0].split()
        assert len(pids) == 1, pids
        said = dict(re.findall(r"^(\w+):\s*(.*)$", s.node.shell(f"cat /proc/{pids[0]}/status")[0], re.M))
        assert said["Uid"].split() == ["912"] * 4 and int(said["CapEff"], 16) == 0 and said["NoNewPrivs"] == "1" and said["Seccomp"] == "2", said
        keys = s.node.shell("grep -rls 'PRIVATE KEY' /run/zos/gateway-web /run/zos/gateway-steer /run/zos/gateway-acme /run/zos/gateway-ca")[0].split()
        assert keys == ["/run/zos/gateway-acme/conf/private/key.pem"], keys
        assert s.node.shell(f"stat -c '%a %u' {keys[0]}")[0].split() == ["600", "912"]
        logs = "".join(s.lab.zos("node", "logs", x) for x in ("noded", "gateway@acme", "gateway@steer", "gateway@web"))
        assert f"{FIRST}: it has a new certificate" in logs and "PRIVATE KEY" not in logs, logs
        assert all(s.node.shell(f"stat -c %a {f}")[0].strip() == "600" for f in s.kept()), s.kept()


def lasting(s, report):
    serial = s.serial(FIRST)
    s.leave()
    for name, find in (("HAProxy", "pidof haproxy"), ("the programs beside it", "pidof gateway"), ("the engine", "pidof noded")):
        with report.case(f"{name} dies, and the ACME server is away: the certificate is what it was"):
            s.node.shell(f"kill -9 $({find})")
            until("the page is back", lambda: s.page(FIRST) == PAGE, 90)
            assert s.serial(FIRST) == serial
    until("the engine is back", lambda: s.is_in("blog", "site", "ok"), 90)
    return serial


def again(s, serial, report):
    with report.case("the node was started again, with the ACME server away: the same certificate"):
        until("the page is back", lambda: s.page(FIRST) == PAGE, 180)
        assert s.serial(FIRST) == serial
    with report.case("a name that comes meanwhile is told why it has none, and has one once the server is back"):
        s.publish("later", LATER)
        until("it is told", lambda: "could not be had" in s.name(LATER).get("message", ""), 90)
        assert "Could not connect" in s.name(LATER)["message"] and "next try at 20" in s.name(LATER)["message"], s.name(LATER)
        assert s.name(LATER)["state"] == "ok" and s.page(LATER, "http") == PAGE
        s.serve()
        until("it has HTTPS", lambda: s.page(LATER) == PAGE, 180)
        assert s.serial(FIRST) == serial and s.seen().count(f"order {FIRST}") == 1, s.seen()


def gone(s, report):
    with report.case("a name that its owner deleted has no certificate any more, on the node's disk either"):
        assert len(s.kept()) == 3, s.kept()  # two names, and the account
        s.lab.zos("delete", "later")
        until("it is gone", lambda: len(s.kept()) == 2, 30)
        assert "BEGIN CERTIFICATE" not in s.session(LATER).stdout and s.page(FIRST) == PAGE


def main():
    report = Report("make node T=acme")
    with Lab() as lab, tempfile.TemporaryDirectory() as directory, Lan(directory) as lan, Computer(lan, 9) as computer, backend(computer):
        disk = f"{directory}/disk"
        with open(disk, "wb") as f:
            f.truncate(1100 << 20)
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        s = Owner(lab, computer, directory)
        s.serve()
        with lab.node("debug", memory_mib=1024, drives=[disk], extra=lan.args(1)) as s.node:
            lan.connect(1)
            s.node.wait_line(r"is up, (\d+) services", 200)
            key = lab.wait_nodes()[0]["node"]
            lab.zos("farm", "approve", key)
            until("it is durable", lambda: lab.zos_json("node", "info")["durable"], 120)
            had(s, ("farm", "gateway", key, "--address", f"{ADDRESS}/24", "--router", ROUTER, "--card", "eth1"), report)
            shut(s, report)
            serial = lasting(s, report)
        with lab.node("debug", memory_mib=1024, drives=[disk], extra=lan.args(1)) as s.node:
            lan.connect(1)
            s.node.wait_line(r"is up, (\d+) services", 200)
            again(s, serial, report)
            gone(s, report)
        s.leave()
    sys.exit(report.end())


main()
