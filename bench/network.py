"""A private network between machines on two nodes, beside WireGuard alone, nebula and yggdrasil between two Debians: the same emulator, the same kernel, the same
cable, one after the other in turn. And what such networks cost while nobody talks, and how long it takes until one is there."""
import contextlib, json, os, re, shutil, subprocess, tempfile, time

import fio, workload
from lab import GUEST_SEES_HOST, Failed, Lab, until
from registry import Registry

TREE = fio.TREE
SECONDS, ROUNDS, IDLE_S, NETWORKS = 8, 3, 60, 10
USER_MAC = "52:54:00:12:34:56"  # QEMU's own, of the card that leads to the hub
TOOLS = [(TREE, name) for name in ("usr/bin/iperf3", "usr/bin/wg", "usr/bin/nebula", "usr/sbin/yggdrasil")] + [("", name) for name in ("usr/bin/ip", "usr/bin/ping")]
PATH = "PATH=/mnt/usr/bin:/mnt/usr/sbin:$PATH LD_LIBRARY_PATH=/mnt/usr/lib/x86_64-linux-gnu"
NO_WAIT = "systemd.mask=systemd-networkd-wait-online.service"  # for the cable's card, which nobody gives an address but us
RIVALS = {"wireguard": "10.9.0.2", "nebula": "10.8.0.2", "yggdrasil": None}  # the far end; its own address says nothing before its key is made


def mac(number):
    return f"52:54:4e:02:00:{number:02x}"


def cable(folder, name, number):
    """The second card of the machine NUMBER of the two that NAME is between. The first has to be there before the second."""
    return ["-netdev", f"stream,id=cable,server={'on' if number == 1 else 'off'},addr.type=unix,addr.path={folder}/{name}.cable",
            "-device", f"virtio-net-pci,netdev=cable,mac={mac(number)},romfile="]


def rate(text):
    """Mbit/s that arrived, as iperf3 says it."""
    return json.loads(text[text.index("{"):])["end"]["sum_received"]["bits_per_second"] / 1e6


# --- ours ---

class Nodes:
    """Two nodes of a farm with a cable between them."""

    def __init__(self, lab, folder, image):
        self.lab, self.folder, self.image, self.nodes, self.keys = lab, folder, image, [], []

    @contextlib.contextmanager
    def up(self):
        with contextlib.ExitStack() as stack:
            for number in (1, 2):
                words = f"zos.uplink={USER_MAC} zos.uplink={mac(number)},address=192.0.2.{50 + number}/24"
                node = self.lab.node("debug", memory_mib=1536, append=words, extra=cable(self.folder, "nodes", number))
                _, record = stack.enter_context(self.lab.newcomer(node))
                self.lab.zos("farm", "approve", record["node"])
                self.nodes.append(node)
                self.keys.append(record["node"])
            yield self

    def network(self, name, number, third):
        """One end of a network: 10.THIRD.1.0/24 here, 10.THIRD.2.0/24 there."""
        other = 3 - number
        return {"name": name, "type": "network", "data": {"subnet": f"10.{third}.{number}.0/24", "range": f"10.{third}.0.0/16",
                                                          "peers": [{"node": self.keys[other - 1], "subnet": f"10.{third}.{other}.0/24"}]}}

    def deploy(self, name, number, workloads):
        with open(f"{self.folder}/{name}-{number}.json", "w") as f:
            json.dump({"name": name, "workloads": workloads}, f)
        self.zos(number, "deploy", f.name, timeout=600)

    def zos(self, number, *words, **more):
        at = words.index("--") if "--" in words else len(words)
        return self.lab.zos(*words[:at], "--node", self.keys[number - 1], *words[at:], **more)

    def machine(self, number, *program):
        return {"name": "box", "type": "zmachine", "data": {"image": self.image, "isolation": "container", "cpu": 2, "memory": "256MiB", "entrypoint": list(program),
                                                            "networks": [{"name": "net", "ip": f"10.20.{number}.200"}]}}

    def place(self, number):
        program = ("/usr/bin/sleep", "100000") if number == 1 else ("/usr/bin/iperf3", "-s")
        self.deploy("talk", number, [self.network("net", number, 20), self.machine(number, *program)])

    def is_met(self):
        return all(p["state"] == "ok" for n in json.loads(self.zos(1, "network", "paths", "talk", "--json")) for p in n["peers"])

    def run(self, script, timeout=120):
        return self.zos(1, "exec", "talk/box", "--", "/usr/bin/sh", "-c", script, timeout=timeout)

    def talk(self):
        return rate(self.run(f"iperf3 -c 10.20.2.200 -t {SECONDS} -J"))

    def first_packet(self):
        """Seconds from the command that deploys the second end, whose image is there, until the first end's machine has connected to it."""
        self.zos(2, "delete", "talk")
        until("the second end is gone", lambda: not json.loads(self.zos(2, "ps", "--json"))["deployments"])
        began = time.monotonic()
        self.place(2)
        self.run("until nc -w 1 10.20.2.200 5201 </dev/null; do :; done", 180)
        return time.monotonic() - began

    def seen(self):
        """Bytes over the cable, and ms of a processor that all services of the first node have used."""
        text, _ = self.nodes[0].shell(f"d=$(grep -l {mac(1)} /sys/class/net/*/address | head -n1 | xargs dirname); cat $d/statistics/rx_bytes $d/statistics/tx_bytes; "
                                      "cat /sys/fs/cgroup/zos/services/cgroup.procs /sys/fs/cgroup/zos/services/*/cpu.stat | grep usage_usec")
        numbers = [int(n) for n in re.findall(r"\d+", text)]
        return sum(numbers[:2]), sum(numbers[2:]) / 1000

    def idles(self):
        """What passes in IDLE_S, and what it takes."""
        before = self.seen()
        time.sleep(IDLE_S)
        return [after - was for was, after in zip(before, self.seen())]

    def idle(self, s):
        bytes_without, cpu_without = self.idles()
        for number in (1, 2):
            self.deploy("idle", number, [self.network(f"n{i}", number, 100 + i) for i in range(NETWORKS)])
        until("all networks are met", lambda: all(p["state"] == "ok" for n in json.loads(self.zos(1, "network", "paths", "idle", "--json")) for p in n["peers"]), 300)
        bytes_with, cpu_with = self.idles()
        s.add("network.idle.bytes", (bytes_with - bytes_without) * 3600 / IDLE_S / 1000)
        s.add("network.idle.cpu", cpu_with - cpu_without)


# --- what people would use ---

def tools_disk(folder):
    """A file system with the programs, and what each of the two computers has to know of the other."""
    root = f"{folder}/tools"
    for tree, name in TOOLS:
        workload.copy(tree, root, f"{tree}/{name}")
        for path in workload.libraries(tree, f"{tree}/{name}"):
            workload.copy(tree, root, path)
    os.makedirs(f"{root}/nebula")
    for words in (["ca", "-name", "bench"], *(["sign", "-name", f"n{n}", "-ip", f"10.8.0.{n}/24"] for n in (1, 2))):
        subprocess.run([os.path.abspath(f"{TREE}/usr/bin/nebula-cert"), *words], cwd=f"{root}/nebula", check=True, capture_output=True)
    for n in (1, 2):
        nebula_write(root, n)
        yggdrasil_write(root, n)
        with open(f"{root}/wg{n}.key", "w") as f:
            f.write(subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout)
    subprocess.run(["mkfs.erofs", "--quiet", f"{folder}/tools.disk", root], check=True, stdout=subprocess.DEVNULL)
    return f"{folder}/tools.disk"


def nebula_write(root, n):
    any_of = [{"port": "any", "proto": "any", "host": "any"}]
    with open(f"{root}/nebula/n{n}.yml", "w") as f:  # JSON is YAML
        json.dump({"pki": {"ca": "/mnt/nebula/ca.crt", "cert": f"/mnt/nebula/n{n}.crt", "key": f"/mnt/nebula/n{n}.key"},
                   "static_host_map": {"10.8.0.1": ["192.0.2.51:4242"]}, "lighthouse": {"am_lighthouse": n == 1, "hosts": [] if n == 1 else ["10.8.0.1"]},
                   "listen": {"host": "0.0.0.0", "port": 4242}, "tun": {"dev": "neb0"}, "firewall": {"outbound": any_of, "inbound": any_of}}, f)


def yggdrasil_write(root, n):
    made = subprocess.run([f"{TREE}/usr/sbin/yggdrasil", "-genconf", "-json"], capture_output=True, text=True, check=True).stdout
    config = json.loads(made) | {"Listen": ["tcp://0.0.0.0:9999"] if n == 1 else [], "Peers": [] if n == 1 else ["tcp://192.0.2.51:9999"], "MulticastInterfaces": [], "IfName": "ygg0", "AdminListen": "none"}
    with open(f"{root}/ygg{n}.json", "w") as f:
        json.dump(config, f)


class Debians:
    """Two of the peer with a cable between them, and all three on them."""

    def __init__(self, peer, folder):
        self.peer, self.folder, self.disk, self.nodes, self.at = peer, folder, tools_disk(folder), [], dict(RIVALS)

    def sh(self, number, script, seconds=60):
        text, status = self.nodes[number - 1].shell(f"{PATH} sh -c '{script}'", seconds)
        if status:
            raise Failed(f"{script}: {text[-300:]}")
        return text

    @contextlib.contextmanager
    def up(self):
        with contextlib.ExitStack() as stack:
            for number in (1, 2):
                node = stack.enter_context(self.peer(drives=[f"{self.disk},snapshot=on"], memory_mib=1536, extra=cable(self.folder, "debians", number), append=NO_WAIT))
                node.wait_line(r"peer is ready", 300)
                node.hvc.read_until(r"^# ", time.monotonic() + 120)
                self.nodes.append(node)
                self.sh(number, f"mount -t erofs -o ro /dev/vdb /mnt && mkdir -p /run/systemd/network && "
                                f"printf \"[Match]\\nMACAddress={mac(number)}\\n[Network]\\nAddress=192.0.2.{50 + number}/24\\n\" >/run/systemd/network/10-cable.network && "
                                f"systemctl restart systemd-networkd && until ip -br addr | grep -q 192.0.2.{50 + number}/; do :; done")
            for number in (1, 2):
                self.tunnels(number)
            self.sh(2, "iperf3 -s -D")
            self.at["yggdrasil"] = self.sh(2, "yggdrasil -useconffile /mnt/ygg2.json -address").split()[-1]
            yield self

    def tunnels(self, number):
        with open(f"{self.folder}/tools/wg{3 - number}.key") as key:
            public = subprocess.run(["wg", "pubkey"], stdin=key, capture_output=True, text=True, check=True).stdout.strip()
        self.sh(number, "ip link add wg0 type wireguard && wg set wg0 listen-port 51820 private-key /mnt/wg%d.key peer %s allowed-ips 10.9.0.0/24 endpoint 192.0.2.%d:51820 && "
                "ip addr add 10.9.0.%d/24 dev wg0 && ip link set wg0 up" % (number, public, 50 + 3 - number, number))
        self.sh(number, f"nebula -config /mnt/nebula/n{number}.yml >/tmp/nebula 2>&1 &")
        self.sh(number, f"yggdrasil -useconffile /mnt/ygg{number}.json >/tmp/ygg 2>&1 &")

    def talk(self, who):
        """From the first to the second, as soon as a packet gets through."""
        at = self.at[who]
        self.sh(1, f"until ping -c 1 -W 1 {at} >/dev/null; do :; done", 120)
        return rate(self.sh(1, f"iperf3 -c {at} -t {SECONDS} -J", 120))


def part(s, peer):
    with Registry() as registry, tempfile.TemporaryDirectory() as folder, Lab() as lab:
        fio.tree_make(f"{folder}/root", "iperf3")
        shutil.copy2("/usr/bin/busybox", f"{folder}/root/usr/bin/nc")
        workload.copy(TREE, f"{folder}/root", f"{TREE}/usr/lib/x86_64-linux-gnu/libgcc_s.so.1")  # glibc opens it where a thread ends another
        fio.image_make(f"{folder}/root", f"{folder}/oci")
        registry.push(f"{folder}/oci", "iperf", "1")
        lab.start_hub()
        lab.make_farm_with(registry)
        nodes, debians = Nodes(lab, folder, f"{registry.host(GUEST_SEES_HOST)}/iperf:1"), Debians(peer, folder)
        with nodes.up(), debians.up():
            for number in (1, 2):
                nodes.place(number)
            until("the nodes have met", nodes.is_met, 120)
            for _ in range(ROUNDS):
                s.add("network.rate.ours", nodes.talk())
                for who in RIVALS:
                    s.add(f"network.rate.{who}", debians.talk(who))
            for _ in range(ROUNDS):
                s.add("network.first", nodes.first_packet())
        with_idle(s, nodes, lab, folder)


def with_idle(s, nodes, lab, folder):
    """Of nodes that do nothing else, alone on this computer."""
    alone = Nodes(lab, folder, nodes.image)
    with alone.up():
        alone.idle(s)


def rows():
    """As bench/run's. Rates: more is better."""
    for who, what in (("wireguard", "WireGuard alone, from Debian to Debian"), ("nebula", "nebula, likewise"), ("yggdrasil", "yggdrasil, likewise")):
        yield ("network", f"TCP between containers on two nodes, {SECONDS} s (more is better); {what}", "network.rate.ours", "Mbit/s", f"network.rate.{who}", None, None)
    yield ("network", "from the command that deploys the second end until the first has connected to its machine", "network.first", "s", None, None, None)
    yield ("network", f"what passes between the two ends of {NETWORKS} idle networks in an hour", "network.idle.bytes", "kB", None, None, None)
    yield ("network", f"CPU that {NETWORKS} idle networks take in {IDLE_S} s, all services of a node", "network.idle.cpu", "ms", None, None, None)
