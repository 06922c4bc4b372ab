#!/usr/bin/python3
"""Published names on a booted node: a computer on the public network gets each owner's pages by their names, and nothing else of the node or its machines."""
import hashlib, os, re, secrets, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import promises, workload
from lab import GUEST_SEES_HOST, Failed, Lab, refused, until
from lan import Computer, Lan
from qemu import Report
from registry import Registry
from storage import Storage

NONCE, OTHER_NONCE = secrets.token_hex(16), secrets.token_hex(16)
SERVE = "nginx; trap exit TERM; sleep 100000 & wait"
OTHERS = f"echo {OTHER_NONCE} > /var/www/html/index.html; {SERVE}"
SUBNET, WEB = "10.20.1.0/24", "10.20.1.9"
ADDRESS, ADDRESS6, ROUTER = "192.0.2.180", "2001:db8::180", Lan.ip(9)  # the computer is the router, too
DOMAIN = "apps.example.org"


class Owner(Storage):
    def __init__(self, lab, image, node, computer):
        self.lab, self.image, self.node, self.computer = lab, image, node, computer

    def site(self, name, backends, network="back", kind="name", **data):
        return {"name": "site", "type": f"gateway-{kind}-proxy", "data": {"fqdn" if kind == "fqdn" else "name": name, "backends": backends,
                                                                        **({"network": network} if network else {}), **data}}

    def publish(self, deployment, name, script=SERVE, backends=("web:80",), more=(), **data):
        self.put(deployment, {"name": "back", "type": "network", "data": {"subnet": SUBNET}},
                 self.box("web", script, [], networks=[{"name": "back", "ip": WEB}]), *more, self.site(name, list(backends), **data))

    def page(self, host, address=ADDRESS, seconds=5):
        """Its status and its text."""
        got = self.computer.run("curl", "-sg", "-m", str(seconds), "-o", "-", "-w", "\n%{http_code}", "-H", f"Host: {host}", f"http://{address}/", check=False)
        text, _, status = got.stdout.rpartition("\n")
        return int(status or 0), text.strip()

    def answers(self, address, port):
        """Whether something accepts a connection there."""
        return self.computer.run("busybox", "nc", "-w", "2", address, str(port), stdin=-3, check=False).returncode == 0

    def in_network(self, command):
        """In the namespace of the network of 'blog'."""
        of = hashlib.sha256(f"{self.lab.zos('key').split()[0]}/blog/back".encode()).hexdigest()[:16]
        return self.node.shell(f"nsenter --net=/run/zos/network/{of}/netns {command}")[0]

    def at_the_gateway(self, command):
        return self.node.shell(f"nsenter --net=/run/zos/gateway/netns {command}")[0]

    def fetches(self, where):
        """The machine of 'blog' its own page there."""
        try:
            return NONCE in self.sh("blog", "web", f"wget -q -T 3 -O - http://{where}/")
        except Failed:
            return False

    def names(self):
        return {n["fqdn"]: n for n in self.lab.zos_json("gateway", "list")}


def roles(s, node, report):
    with report.case("who is no gateway publishes nothing and says so; a farm makes it one"):
        with refused("this node is no gateway of its farm"):
            s.publish("blog", "blog")
        with refused("no other machine on the network"):
            s.lab.zos("farm", "gateway", node, "--address", f"{ADDRESS}/24", "--router", "198.51.100.1")
        s.lab.zos("farm", "gateway", node, "--address", f"{ADDRESS}/24", "--router", ROUTER, "--address6", f"{ADDRESS6}/64", "--router6", "2001:db8::9",
                  "--card", "eth1", "--domain", DOMAIN)
        assert not s.answers(ADDRESS, 80)  # nothing is published yet


def published(s, report):
    with report.case("a machine's page is there under its name, in both families, and under no other"):
        s.publish("blog", "blog")
        s.wait_state("blog", "site", "ok")  # a machine's program may need a moment
        assert s.page(f"blog.{DOMAIN}") == (200, NONCE)
        assert s.page(f"blog.{DOMAIN}", f"[{ADDRESS6}]") == (200, NONCE)
        assert s.page(f"shop.{DOMAIN}")[0] == 404 and s.page(ADDRESS)[0] == 404
        row = s.names()[f"blog.{DOMAIN}"]
        assert row["state"] == "ok" and row["backends"] == [f"{WEB}:80"] and row["answering"] == 1, row
        assert f"blog.{DOMAIN}" in s.lab.zos("gateway", "list")
    with report.case("another deployment with the same addresses has a name of its own, and its own page"):
        s.publish("other", "www.example.org", OTHERS, kind="fqdn")
        s.wait_state("other", "site", "ok")
        assert s.page("www.example.org") == (200, OTHER_NONCE) and s.page(f"blog.{DOMAIN}") == (200, NONCE)
        with refused("the name is published already"):
            s.publish("third", "blog")


def from_one_command(s, report):
    with report.case("one command without a file publishes an image; its name is taken out with it"):
        shown = s.lab.zos("run", s.image, "--name", "quick", "--container", "--publish", "quick:80")
        assert f"quick.{DOMAIN}" in shown, shown
        until("its page is there", lambda: s.page(f"quick.{DOMAIN}") == (200, NONCE), 60)
        s.lab.zos("delete", "quick")
        assert s.page(f"quick.{DOMAIN}")[0] == 404 and s.page(f"blog.{DOMAIN}") == (200, NONCE)


def shut(s, report):
    with report.case("the public side reaches the web's ports, and nothing of the node; the address answers pings"):
        assert s.answers(ADDRESS, 80) and s.answers(ADDRESS, 443)
        open_ports = [p for p in (22, 53, 81, 179, 1024, 4222, 8080, 9900, 28672, 51820) if s.answers(ADDRESS, p)]
        assert not open_ports, open_ports
        assert not s.answers(Lan.ip(1), 80) and not s.answers(Lan.ip(1), 443)
        for address in (ADDRESS, ADDRESS6):
            assert s.computer.run("ping", "-c", "1", "-W", "3", address, check=False).returncode == 0, address
    with report.case("what is behind the gateway is reached by nobody from outside, whatever they route there"):
        for where in (WEB, "100.126.0.1", "100.127.0.0"):
            s.computer.run("ip", "route", "add", f"{where}/32", "via", ADDRESS)
            assert not s.answers(where, 80), where
            s.computer.run("ip", "route", "del", f"{where}/32")
    with report.case("machines reach nothing of the gateway by the way that it has to them"):
        ends = re.findall(r"100\.126\.\d+\.\d+", s.in_network("ip -4 addr show gw0"))
        assert len(ends) == 1, ends
        for where in (ends[0], "10.20.1.1"):
            assert not s.fetches(where), where
        assert s.fetches(WEB)


def lasting(s, report):
    with report.case("the engine dies: names are served meanwhile, and after"):
        before = s.node.shell("pidof haproxy")[0]
        s.node.shell("kill -9 $(pidof noded)")
        assert s.page(f"blog.{DOMAIN}") == (200, NONCE)
        until("the engine is back", lambda: s.is_in("blog", "site", "ok") and s.is_in("other", "site", "ok"), 90)
        assert s.page(f"blog.{DOMAIN}") == (200, NONCE) and s.page("www.example.org") == (200, OTHER_NONCE)
        assert s.node.shell("pidof haproxy")[0] == before
    with report.case("HAProxy dies: all names are back, with nobody's help"):
        limits = s.node.shell("cd /sys/fs/cgroup/zos/gateways/web; cat memory.max pids.max")[0].split()
        assert limits == [str(512 << 20), "128"], limits
        s.node.shell("kill -9 $(pidof haproxy)")
        until("both are served", lambda: s.page(f"blog.{DOMAIN}") == (200, NONCE) and s.page("www.example.org") == (200, OTHER_NONCE), 60)


def changed(s, report):
    with report.case("a second backend takes part, and takes over when the first stops; both gone it says so"):
        more = [s.box("twin", OTHERS, [], networks=[{"name": "back", "ip": "10.20.1.10"}])]
        s.publish("blog", "blog", backends=["web:80", "twin:80"], more=more)
        until("both have answered", lambda: {s.page(f"blog.{DOMAIN}")[1] for _ in range(4)} == {NONCE, OTHER_NONCE}, 30)
        s.lab.zos("stop", "blog/web")
        until("one answers", lambda: s.names()[f"blog.{DOMAIN}"]["answering"] == 1, 60)
        row = s.names()[f"blog.{DOMAIN}"]
        assert row["state"] == "degraded" and row["message"] == "1 of 2 backends do not answer", row
        assert all(s.page(f"blog.{DOMAIN}") == (200, OTHER_NONCE) for _ in range(4))
        s.lab.zos("start", "blog/web")
        until("both answer", lambda: s.is_in("blog", "site", "ok"), 60)
    with report.case("of a network the gateway's namespace reaches what is published, by address and port; what its owner took out it does not"):
        s.publish("blog", "blog", more=[s.box("twin", OTHERS, [], networks=[{"name": "back", "ip": "10.20.1.10"}])])
        assert {s.page(f"blog.{DOMAIN}")[1] for _ in range(4)} == {NONCE}
        door = re.search(r"100\.126\.\d+\.\d+", s.in_network("ip -4 addr show gw0"))[0]
        for where in (WEB, "10.20.1.10", "10.20.1.1"):
            s.at_the_gateway(f"ip route add {where}/32 via {door}")
        assert NONCE in s.at_the_gateway(f"wget -q -T 3 -O - http://{WEB}/")
        for where in (f"{WEB}:81", "10.20.1.10", "10.20.1.1"):
            assert not s.at_the_gateway(f"wget -q -T 3 -O - http://{where}/ 2>/dev/null").strip(), where


def outside(s, report):
    with report.case("a backend of a public address is reached by the gateway's own card"), tempfile.TemporaryDirectory() as site:
        with open(f"{site}/index.html", "w") as f:
            f.write(OTHER_NONCE)
        server = subprocess.Popen(s.computer.words("python3", "-m", "http.server", "--bind", ROUTER, "-d", site, "8080"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            s.put("far", s.site("far.example.org", [f"{ROUTER}:8080"], network=None, kind="fqdn"))
            s.wait_state("far", "site", "ok")
            assert s.page("far.example.org") == (200, OTHER_NONCE)
            with refused("is a private address that this farm has not opened"):
                s.put("far", s.site("far.example.org", ["10.99.0.1:8080"], network=None, kind="fqdn"))
        finally:
            server.kill()
            server.wait()
            s.lab.zos("delete", "far")


def reassigned(s, node, report):
    role = ("farm", "gateway", node, "--address", f"{ADDRESS}/24", "--router", ROUTER, "--card", "eth1")
    with report.case("who is no gateway any more serves nothing, and says so; made one again, it serves under its new domain"):
        s.lab.zos("farm", "gateway", node, "--forget")
        until("nobody answers", lambda: not s.answers(ADDRESS, 80), 30)
        s.wait_state("blog", "site", "retrying", 30)
        assert "no gateway of its farm" in s.state("blog", "site")["message"]
        s.lab.zos(*role, "--domain", "new.example.org")
        until("it serves", lambda: s.page("blog.new.example.org") == (200, NONCE) and s.page("www.example.org") == (200, OTHER_NONCE), 90)
        assert s.page(f"blog.{DOMAIN}")[0] == 404
        s.lab.zos(*role, "--domain", DOMAIN)
        until("the old domain is back", lambda: s.page(f"blog.{DOMAIN}") == (200, NONCE), 90)


def gone(s, report):
    with report.case("what its owner deleted is not served; with the last name nothing listens, and nothing is left"):
        s.lab.zos("delete", "blog")
        until("the name is gone", lambda: s.page(f"blog.{DOMAIN}")[0] == 404, 30)
        assert s.page("www.example.org") == (200, OTHER_NONCE), s.page("www.example.org")
        s.lab.zos("delete", "other")
        until("nothing listens", lambda: not s.answers(ADDRESS, 80), 30)
        until("the namespace is gone", lambda: s.node.shell("test -e /run/zos/gateway/netns || pidof haproxy")[1] == 1, 30)
        until("nobody answers there", lambda: s.computer.run("ping", "-c", "1", "-W", "2", ADDRESS, check=False).returncode, 30)


def main():
    report = Report("make node T=gateway")
    with Lab() as lab, Registry() as registry, tempfile.TemporaryDirectory() as directory, Lan(directory) as lan, Computer(lan, 9) as computer:
        lab.start_hub()
        lab.make_farm_with(registry)
        registry.push(workload.build(NONCE, lab.dir, tools=True), "nginx", "1")
        computer.run("ip", "addr", "add", "2001:db8::9/64", "dev", "lan0", "nodad")
        with lab.node("debug", memory_mib=1280, extra=lan.args(1)) as node:
            lan.connect(1)
            node.wait_line(r"is up, (\d+) services", 200)
            key = lab.wait_nodes()[0]["node"]
            lab.zos("farm", "approve", key)
            s = Owner(lab, f"{registry.host(GUEST_SEES_HOST)}/nginx:1", node, computer)
            roles(s, key, report)
            published(s, report)
            from_one_command(s, report)
            shut(s, report)
            promises.check(node, report, "On a gateway")
            lasting(s, report)
            changed(s, report)
            outside(s, report)
            reassigned(s, key, report)
            gone(s, report)
    sys.exit(report.end())


main()
