#!/usr/bin/python3
"""Private networks on a booted node: machines of both kinds find each other by name, and nothing else; they last while the engine dies, and leave nothing."""
import os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import ZOS, Failed, until
from owner import on_a_node
from qemu import Report
from storage import Storage

SERVE = "nginx; trap exit TERM; sleep 100000 & wait"
ROOT = "/var/www/html"


def network(name, subnet, **data):
    return {"name": name, "type": "network", "data": {"subnet": subnet, **data}}


def joins(*networks):
    return [n if isinstance(n, dict) else {"name": n} for n in networks]


class Networks(Storage):
    def member(self, name, networks, **data):
        return self.box(name, SERVE, [], networks=joins(*networks), **data)

    def ip(self, deployment, machine, at):
        return self.state(deployment, machine)["ip"][at]

    def fetches(self, deployment, machine, host):
        try:
            return self.sh(deployment, machine, f"wget -q -T 3 -O - http://{host}/") == "a page\n"
        except Failed:
            return False

    def pings(self, deployment, machine, what):
        try:
            return " 0% packet loss" in self.sh(deployment, machine, f"ping -c 1 -W 3 {what}")
        except Failed:
            return False


def up(s, report):
    with report.case("two containers and a virtual machine come up in two networks, and each has its addresses"):
        s.put("blog", network("front", "10.20.1.0/24"), network("back", "10.20.2.0/24", outgoing=False),
              s.member("web", ["front", "back"]), s.member("db", [{"name": "back", "ip": "10.20.2.5"}]),
              s.member("vm", ["front"], isolation="vm", memory="192MiB"))
        web = s.state("blog", "web")["ip"]
        assert len(web) == 5 and web[1].startswith("10.20.1.") and web[2].startswith("fd") and web[3].startswith("10.20.2."), web
        assert s.ip("blog", "db", 1) == "10.20.2.5"
        listed = s.lab.zos_json("network", "list", "blog")
        front = next(n for n in listed if n["name"] == "front")
        assert front["state"] == "ok" and front["gateway"][0] == "10.20.1.1" and sorted(m["name"] for m in front["machines"]) == ["vm", "web"], front
        assert "blog/back" in s.lab.zos("network", "list") and "10.20.2.5" in s.lab.zos("network", "list", "blog")


def found(s, report):
    with report.case("they find each other by name, with IPv4 and IPv6, whatever they are"):
        until("names are answered", lambda: s.fetches("blog", "web", "vm.front.internal"), 30)
        for machine, host in (("vm", "web.front.internal"), ("vm", "web"), ("web", "db.back.internal"), ("web", "db"), ("db", "web")):
            assert s.fetches("blog", machine, host), (machine, host)
        for machine, other in (("web", "vm"), ("vm", "web")):
            assert s.fetches("blog", machine, f"[{s.ip('blog', other, 2)}]"), (machine, other)
            assert s.ip("blog", other, 2) in s.sh("blog", machine, f"nslookup {other}.front.internal"), (machine, other)
        assert "web.front.internal" in s.sh("blog", "vm", f"nslookup {s.ip('blog', 'web', 1)}")
    with report.case("of the gateway they reach names and pings, and nothing else; of other networks nothing"):
        assert s.pings("blog", "vm", "10.20.1.1") and not s.fetches("blog", "vm", "10.20.1.1")
        for address in ("10.20.2.5", s.ip("blog", "db", 2)):
            assert s.fetches("blog", "web", f"[{address}]" if ":" in address else address), address
            assert not s.pings("blog", "vm", address), address
        for address in (s.ip("blog", "vm", 0), s.ip("blog", "vm", 1), "10.20.1.1", "100.127.0.0"):
            assert not s.fetches("blog", "db", address), address
    with report.case("outside is reached by who is in a network that leads there, and by nobody else"):
        greeting = s.greeting = f"sleep 3 | nc -w 5 10.0.2.2 {s.lab.port} 2>/dev/null | head -c 4"  # a hub speaks first; the farm opens its address
        assert [s.sh("blog", m, greeting) for m in ("web", "vm", "db")] == ["INFO", "INFO", ""]


def crowded(s, report):
    with report.case("a machine that opens connections without end gets its share of the node's table, and the others theirs"):
        table = "/proc/sys/net/netfilter/nf_conntrack_"
        all_of_it, before = (int(s.node.shell(f"cat {table}{what}")[0]) for what in ("max", "count"))
        share = int(s.node.shell("awk '/MemTotal/ { print $2 }' /proc/meminfo")[0]) // 1024
        assert before < share // 2 and all_of_it > 7 * share, (before, share, all_of_it)
        with open("build/release/flows", "rb") as f:
            done = subprocess.run([ZOS, "exec", "blog/web", "--", "/usr/bin/sh", "-c", f"cat > /flows; chmod 755 /flows; /flows 10.0.2.2 {share + 1000}"], stdin=f,
                                  env=s.lab.environment(), capture_output=True, text=True, timeout=60)
        assert done.stdout == f"{share + 1000} sent\n", done
        kept = int(s.node.shell(f"cat {table}count")[0])
        assert share * 0.9 < kept < share + before + 50, (share, before, kept)
        assert [s.sh("blog", m, s.greeting) for m in ("web", "vm")] == ["", "INFO"]


def fetch_seconds(s, machine, host):
    """How long it takes for 512 KiB, by the machine's own clock."""
    script = f"a=$(cut -d' ' -f1 /proc/uptime); wget -q -T 90 -O /dev/null http://{host}/big; echo $a $(cut -d' ' -f1 /proc/uptime)"
    begun, ended = (float(word) for word in s.sh("blog", machine, script).split())
    return ended - begun


def limited(s, report):
    def put(**data):
        s.put("blog", network("front", "10.20.1.0/24"), network("back", "10.20.2.0/24", outgoing=False), s.member("web", ["front", "back"]),
              s.member("db", [{"name": "back", "ip": "10.20.2.5"}]), s.member("vm", ["front"], isolation="vm", memory="192MiB", **data))

    with report.case("a machine keeps to its bandwidth, both ways, from when it is said until it is taken back, and runs on"):
        run = s.sh("blog", "vm", "cat /proc/1/stat").split()[21]
        for machine in ("web", "vm"):
            s.sh("blog", machine, f"dd if=/dev/zero of={ROOT}/big bs=64k count=8")
        free = [fetch_seconds(s, "web", "vm"), fetch_seconds(s, "vm", "web")]
        assert max(free) < 8, free
        put(bandwidth="32KiB")
        assert s.state("blog", "vm")["bandwidth"] == 32 << 10
        held = [fetch_seconds(s, "web", "vm"), fetch_seconds(s, "vm", "web")]
        assert 12 < min(held) and max(held) < 80, held
        queues = s.node.shell("ls /sys/class/net")[0]
        assert "zi" in queues, queues
        put()
        again = [fetch_seconds(s, "web", "vm"), fetch_seconds(s, "vm", "web")]
        assert max(again) < 8 and "bandwidth" not in s.state("blog", "vm"), again
        assert "zi" not in s.node.shell("ls /sys/class/net")[0] and s.sh("blog", "vm", "cat /proc/1/stat").split()[21] == run


def apart(s, report):
    with report.case("a network of another deployment with the same addresses is another network"):
        web = s.ip("blog", "web", 1)
        s.put("other", network("front", "10.20.1.0/24"), s.member("lone", ["front"]), s.member("peer", ["front"]))
        until("the other serves", lambda: s.fetches("other", "lone", "peer.front.internal"), 30)
        if web not in (s.ip("other", "lone", 1), s.ip("other", "peer", 1)):
            assert not s.fetches("other", "lone", web)
        assert not s.fetches("other", "lone", "web.front.internal") and not s.fetches("blog", "web", "peer.front.internal")
        assert s.fetches("blog", "vm", "web.front.internal")


def honest(s, report):
    with report.case("a machine that takes another's MAC or address is not heard, and is again when it is itself"):
        own, web = s.ip("blog", "vm", 1), s.ip("blog", "web", 1)
        mac = s.sh("blog", "vm", "cat /sys/class/net/eth1/address").strip()
        assert s.pings("blog", "vm", web)
        s.sh("blog", "vm", "ip addr add 10.20.1.77/24 dev eth1")
        assert not s.pings("blog", "vm", f"-I 10.20.1.77 {web}") and s.pings("blog", "vm", f"-I {own} {web}")
        s.sh("blog", "vm", "ip addr del 10.20.1.77/24 dev eth1; ip link set eth1 address 02:00:00:00:00:99")
        assert not s.pings("blog", "vm", web)
        s.sh("blog", "vm", f"ip link set eth1 address {mac}")
        assert s.pings("blog", "vm", web)


def lasting(s, report):
    with report.case("the engine dies: who is connected stays so, and names are answered by the same process"):
        before, restarts = s.node.shell("pidof dnsmasq")[0].split(), s.state("blog", "web")["restarts"]
        s.node.shell("kill -9 $(pidof noded)")
        for machine in ("web", "db", "vm"):
            s.wait_state("blog", machine, "ok", 60)
        assert sorted(s.node.shell("pidof dnsmasq")[0].split()) == sorted(before)
        assert s.fetches("blog", "vm", "web.front.internal") and s.fetches("blog", "web", "db") and s.state("blog", "web")["restarts"] == restarts
    with report.case("what answers for names dies: another one does"):
        answered = lambda: s.fetches("blog", "vm", "web.front.internal") and s.fetches("blog", "db", "web")
        s.node.shell("kill -9 $(pidof dnsmasq)")
        until("names are answered", answered, 30)
    with report.case("it runs out of memory: killed, and there is another one with what it should have"):
        at = s.node.shell("find /sys/fs/cgroup/zos/namess -mindepth 1 -maxdepth 1 -type d | head -n1")[0].strip()
        unit, limit = f"names@{os.path.basename(at)}", lambda: s.node.shell(f"cat {at}/memory.max")[0].strip()
        assert limit() == str(48 << 20), (at, limit())
        s.node.shell(f"echo 64K > {at}/memory.max; true")
        s.node.wait_line(f"{unit}: killed for want of memory", 60)
        s.node.wait_line(f"{unit}: up", 60)
        until("names are answered", answered, 30)
        assert limit() == str(48 << 20), limit()


def changed(s, report):
    with report.case("a network that changes leaves its machines alone; a machine that comes is found by them"):
        ends = [s.sh("blog", m, "cat /proc/1/stat").split()[21] for m in ("web", "db", "vm")]
        s.put("blog", network("front", "10.20.1.0/24", outgoing=False), network("back", "10.20.2.0/24", outgoing=False),
              s.member("web", ["front", "back"]), s.member("db", [{"name": "back", "ip": "10.20.2.5"}]),
              s.member("vm", ["front"], isolation="vm", memory="192MiB"), s.member("late", ["back"]))
        until("the newcomer is found", lambda: s.fetches("blog", "db", "late"), 20)
        assert ends == [s.sh("blog", m, "cat /proc/1/stat").split()[21] for m in ("web", "db", "vm")]
        for wrong, path in (({"subnet": "10.20.3.0/24"}, "/workloads/0/data/subnet: cannot change"), ({"subnet": "10.20.1.0/24", "peers": [{}]}, "/workloads/0/data/peers/0/subnet")):
            s.write("blog", [{"name": "front", "type": "network", "data": wrong}])
            try:
                s.lab.zos("deploy", f"{s.lab.dir}/blog.json")
            except Failed as e:
                assert path in str(e), e
            else:
                raise AssertionError(path)


def gone(s, report):
    with report.case("nothing is left of what was deleted"):
        for name in ("blog", "other"):
            s.lab.zos("delete", name)
        until("all of it is gone", lambda: s.node.shell("pidof dnsmasq qemu-system-x86_64 nginx")[1] != 0, 60)
        left = "ls /run/zos/network /run/zos/names /sys/class/net; grep -c /run/zos/network /proc/self/mounts"
        until("nothing lies there", lambda: not any(w in s.node.shell(left)[0] for w in ("zm", "zn", "zi", "00", ".conf")), 30)
        assert s.node.shell("grep -c /run/zos/network /proc/self/mounts")[0].strip() == "0"


def main():
    report = Report("make node T=network")
    with on_a_node(Networks) as s:
        for part in (up, found, limited, crowded, apart, honest, lasting, changed, gone):
            part(s, report)
    sys.exit(report.end())


main()
