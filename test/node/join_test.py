#!/usr/bin/python3
"""A device that nobody here wrote joins a private network: wg-quick and WireGuard on a computer beside the node, with what 'zos network join' wrote."""
import contextlib, json, os, re, secrets, stat, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import workload
from lab import GUEST_SEES_HOST, Failed, Lab, refused, until
from lan import Computer, Lan
from screen import blocks_read
from qemu import Report
from registry import Registry
from storage import Storage

NONCE, OTHER_NONCE = secrets.token_hex(16), secrets.token_hex(16)
SERVE = "nginx; trap exit TERM; sleep 100000 & wait"
WEB = "10.20.1.9"


class Owner(Storage):
    def __init__(self, lab, image, node, computer):
        self.lab, self.image, self.node, self.computer = lab, image, node, computer

    def deploy(self, **more):
        network = {"name": "net", "type": "network", "data": {"subnet": "10.20.1.0/24", **more}}
        self.put("blog", network, self.box("web", SERVE, [], networks=[{"name": "net", "ip": WEB}]))

    def join(self, *words):
        return self.lab.zos("network", "join", "blog", *words, cwd=self.lab.dir)

    def path(self, device="phone"):
        return next(p for p in self.lab.zos_json("network", "paths", "blog")[0]["peers"] if p["device"] == device)

    def fetches(self, host, seconds=5):
        got = self.computer.run("curl", "-sg", "-m", str(seconds), f"http://{host}/", check=False)
        return got.returncode == 0 and NONCE in got.stdout

    def looks_up(self, name):
        got = self.computer.run("busybox", "nslookup", name, "10.20.1.1", check=False).stdout
        return re.findall(r"^Address: (\S+)$", got, re.M)

    @contextlib.contextmanager
    def link(self, conf):
        """The device's WireGuard, up."""
        self.computer.run("wg-quick", "up", conf)
        try:
            yield
        finally:
            self.computer.run("wg-quick", "down", conf)


def joins(s, report):
    conf = f"{s.lab.dir}/phone.conf"
    with report.case("a network with nobody outside opens nothing; for a device a configuration is written that its owner alone reads"):
        s.deploy()
        assert s.node.shell("test -d /sys/module/wireguard")[1] == 1
        s.join("phone")
        text = open(conf).read()
        assert stat.S_IMODE(os.stat(conf).st_mode) == 0o600 and f"Endpoint = {Lan.ip(1)}:" in text and "Address = 10.20.1.254/32, fd" in text, text
        peer = s.path()
        assert peer["state"] == "unheard" and peer["subnet"] == "10.20.1.254/32" and peer["preshared"], peer
        row = s.lab.zos_json("export", "blog")["workloads"][0]["data"]["access"][0]
        private = re.search(r"PrivateKey = (\S+)", text)[1]
        shared = re.search(r"PresharedKey = (\S+)", text)[1]
        document = s.lab.zos("export", "blog")
        assert private not in document and shared not in document and row["key"] in document
        assert s.computer.run("wg", "pubkey", input=private).stdout.strip() == row["key"]
    with report.case("for a telephone it is shown as a code, which a reader reads, and no file is written"):
        shown = s.join("tablet", "--qr")
        text, = blocks_read(shown)
        private = re.search(r"PrivateKey = (\S+)", text)[1]
        row = next(r for r in s.lab.zos_json("export", "blog")["workloads"][0]["data"]["access"] if r["name"] == "tablet")
        assert s.computer.run("wg", "pubkey", input=private).stdout.strip() == row["key"] and f"Address = {row['ip']}/32" in text and "PresharedKey" in text, text
        assert not os.path.exists(f"{s.lab.dir}/tablet.conf")
        s.lab.zos("network", "leave", "blog", "tablet")
    return conf


def reaches(s, conf, report):
    with report.case("the device reaches the network's machine in both families, and its name; before and after it does not"):
        assert not s.fetches(WEB, 2)
        with s.link(conf):
            until("the way works", lambda: s.fetches(WEB), 20)
            address6 = s.state("blog", "web")["ip"][2]
            assert s.fetches(f"[{address6}]")
            assert set(s.looks_up("web.net.internal")) == {WEB, address6}, s.looks_up("web.net.internal")
            peer = s.path()
            assert peer["state"] == "ok" and peer["preshared"] and peer["handshake"] and peer["endpoint"].startswith(Lan.ip(9) + ":"), peer
        assert not s.fetches(WEB, 2)


def is_reached(s, conf, report):
    with s.link(conf), tempfile.TemporaryDirectory() as site:
        with open(f"{site}/index.html", "w") as f:
            f.write(OTHER_NONCE)
        server = subprocess.Popen(s.computer.words("python3", "-m", "http.server", "--bind", "::", "-d", site, "80"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with report.case("the machine reaches the device by its name, in both families"):
                until("the way works", lambda: s.fetches(WEB), 20)
                found = s.sh("blog", "web", "nslookup phone.net.internal")
                assert "10.20.1.254" in found and "a14:1fe" in found, found
                for host in ("phone.net.internal", "10.20.1.254", f"[{s.path()['subnet6'].removesuffix('/128')}]"):
                    until(f"it reaches {host}", lambda: serves(s, host), 20)
            with report.case("it still does when the only machine on the bridge started again, and when the engine did"):
                s.lab.zos("restart", "blog/web")
                until("it is reached", lambda: s.fetches(WEB), 20)
                until("it reaches the device", lambda: serves(s), 20)
                s.node.shell("kill -9 $(pidof noded)")
                assert s.fetches(WEB)
                until("the engine is back", lambda: s.is_in("blog", "net", "ok") and s.is_in("blog", "web", "ok"), 60)
                assert s.fetches(WEB) and serves(s) and s.path()["preshared"]
        finally:
            server.kill()
            server.wait()


def serves(s, host="10.20.1.254"):
    try:
        return OTHER_NONCE in s.sh("blog", "web", f"wget -q -T 10 -O - http://{host}/")
    except Failed:  # it is being started
        return False


def is_kept_out(s, conf, report):
    with report.case("of the gateway it reaches names and pings, of the node and of what is outside nothing"):
        with s.link(conf):
            until("the way works", lambda: s.fetches(WEB), 20)
            assert s.computer.run("ping", "-c", "1", "-W", "5", "10.20.1.1", check=False).returncode == 0
            assert s.computer.run("curl", "-s", "-m", "3", "http://10.20.1.1/", check=False).returncode == 28
            for where in ("100.127.0.0", "10.0.2.2"):
                s.computer.run("ip", "route", "add", f"{where}/32", "dev", "phone")
                assert s.computer.run("ping", "-c", "1", "-W", "2", where, check=False).returncode, where
    with report.case("without the pre-shared key, or with another address, nothing passes"):
        text = open(conf).read()
        for was, now in ((r"PresharedKey = \S+", "PresharedKey = " + s.computer.run("wg", "genpsk").stdout.strip()),
                         (r"Address = \S+,", "Address = 10.20.1.250/32,")):
            wrong = f"{s.lab.dir}/wrong.conf"
            with open(wrong, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
                f.write(re.sub(was, now, text))
            with s.link(wrong):
                assert not s.fetches(WEB, 8), now
        with s.link(conf):
            until("and with both it does", lambda: s.fetches(WEB), 20)


def refusals(s, report):
    with report.case("a name is given once, an address once, and no key in clear is taken"):
        with refused("'phone' is in 'net' already"):
            s.join("phone", "--out", "again.conf")
        with refused("phone.conf is there already"):
            s.join("phone")
        for words, sentence in ((("--out", "phone.conf"), "phone.conf is there already"), (("--endpoint", "home"), "write HOST:PORT")):
            with refused(sentence):  # and nothing was sent: that name joins below
                s.join("desk", *words)
        key = s.computer.run("wg", "pubkey", input=s.computer.run("wg", "genkey").stdout).stdout.strip()
        for row, sentence in (({"name": "desk", "key": key, "ip": WEB}, f"{WEB} is the address of the device 'desk'"),
                              ({"name": "desk", "key": key, "ip": "10.20.1.8", "preshared": key}, "/preshared: a key in clear")):
            with refused(sentence):
                s.deploy(access=[row])
        assert s.join("desk", "--out", "-").startswith("[Interface]\nPrivateKey = ") and s.path("desk")["subnet"] == "10.20.1.253/32"


def leaves(s, conf, report):
    with report.case("a device that left reaches nothing, another does not notice, and with the last one the port is closed"):
        port = s.lab.zos_json("network", "paths", "blog")[0]["listen_port"]
        is_open = lambda: s.node.shell(f"grep -ci ':{port:04X} ' /proc/net/udp")[0].strip() == "1"
        with s.link(conf):
            until("the way works", lambda: s.fetches(WEB), 20)
            s.lab.zos("network", "leave", "blog", "desk")
            left = s.lab.zos_json("export", "blog")
            assert s.fetches(WEB) and is_open() and list(left["secrets"]) == [left["workloads"][0]["data"]["access"][0]["preshared"]["secret"]]
            assert s.sh("blog", "web", "nslookup phone.net.internal 2>&1; :").count("10.20.1.254")
            s.lab.zos("network", "leave", "blog/net", "phone")
            assert not s.fetches(WEB, 3) and not is_open()
            assert "10.20.1.254" not in s.sh("blog", "web", "nslookup phone.net.internal 2>&1; :")
            with refused("there is no device 'phone'"):
                s.lab.zos("network", "leave", "blog", "phone")
        assert not s.state("blog", "web")["restarts"]


def main():
    report = Report("make node T=join")
    with Lab() as lab, Registry() as registry, tempfile.TemporaryDirectory() as directory, Lan(directory) as lan, Computer(lan, 9) as computer:
        lab.start_hub()
        lab.make_farm_with(registry)
        registry.push(workload.build(NONCE, lab.dir, tools=True), "nginx", "1")
        with lab.node("debug", memory_mib=1280, extra=lan.args(1)) as node:
            lan.connect(1)
            node.wait_line(r"is up, (\d+) services", 200)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            s = Owner(lab, f"{registry.host(GUEST_SEES_HOST)}/nginx:1", node, computer)
            conf = joins(s, report)
            reaches(s, conf, report)
            is_reached(s, conf, report)
            is_kept_out(s, conf, report)
            refusals(s, report)
            leaves(s, conf, report)
    sys.exit(report.end())


main()
