#!/usr/bin/python3
"""A key-value store as a workload: deployed, reached by redis' own client through the session, shut in, kept over every end of what runs it."""
import contextlib, json, os, re, secrets, socket, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import redis
from lab import Failed, Lab, refused, until
from qemu import Report
from registry import Registry
from storage import WAIT, Storage

MIB = 1 << 20
PORT = 9900
UID = "903"


class Owner:
    def __init__(self, lab):
        self.lab = lab

    def put(self, name="shop", password="first", **data):
        data = {"size": "200MiB", "password": {"secret": "word"}, **data}
        with open(f"{self.lab.dir}/{name}.json", "w") as f:
            json.dump({"name": name, "secrets": {"word": {"file": "word"}}, "workloads": [{"name": "kv", "type": "zdb", "data": data}]}, f)
        with open(f"{self.lab.dir}/word", "w") as word:
            word.write(password)
        self.lab.zos("deploy", f.name)

    def state(self, name="shop"):
        try:
            return self.lab.zos_json("get", name)["workloads"][0]
        except Failed:  # noded is being started again
            return {"state": "unknown"}

    def wait_ok(self, seconds=60):
        until("the store is there", lambda: self.state()["state"] == "ok", seconds)

    @contextlib.contextmanager
    def client(self, password="first", select=True):
        with self.lab.forward("shop/kv", PORT) as (local, _):
            c = redis.Redis(port=local, socket_timeout=60, single_connection_client=True)
            c.response_callbacks.clear()  # answers as they come
            try:
                if select:
                    assert answer(c, "SELECT", "kv", password) == "OK"
                yield c
            finally:
                c.close()


def answer(c, *words):
    """What comes back; an error as its text behind a minus."""
    try:
        got = c.execute_command(*words)
    except redis.ResponseError as e:
        return f"-{e}"
    return got.decode(errors="replace") if isinstance(got, bytes) else got


def failed(what, *words):
    try:
        return f"it went well: {what(*words)}"
    except Failed as e:
        return e


def reached(o, report):
    with report.case("it is deployed, and redis' client sets and reads through the session"):
        o.put()
        s = o.state()
        assert (s["state"], s["namespace"], s["port"], s["size"]) == ("ok", "kv", PORT, 200 * MIB), s
        with o.client() as c:
            assert answer(c, "SET", "a", "one") == "a" and answer(c, "GET", "a") == "one"
    with report.case("its owner reads what it counts, without a password"):
        text = o.lab.zos("zdb", "metrics", "shop/kv")
        assert re.search(r'^zdb_commands_total\{command="SET"\} 1$', text, re.M) and re.search(r'^zdb_keys\{namespace="kv"\} 1$', text, re.M), text
        assert o.lab.zos_json("zdb", "metrics", "shop/kv")["metrics"].startswith("# HELP zdb_info")
        assert "there is no" in str(failed(o.lab.zos, "zdb", "metrics", "shop/none")), "a store that is not there"
    with report.case("without its password nothing is written, and nobody is an admin of it"):
        with o.client(select=False) as c:
            assert answer(c, "SET", "b", "1") == "-Namespace is in read-only mode"
            assert answer(c, "GET", "a") is None, "the default namespace is another"
            assert answer(c, "SELECT", "kv") == "-Namespace protected and private"
            assert answer(c, "SELECT", "kv", "second") == "-Access denied"
            assert answer(c, "SELECT", "kv", "first") == "OK" and answer(c, "SET", "b", "1") == "b"
            for words in (("NSNEW", "mine"), ("NSSET", "kv", "maxsize", "0"), ("NSDEL", "kv")):
                assert answer(c, *words) == "-Permission denied", words
    with report.case("it takes just as much as was asked for"):
        with o.client() as c:
            value = os.urandom(8 * MIB)
            for i in range(24):
                assert answer(c, "SET", f"large{i}", value) == f"large{i}", i
            assert answer(c, "SET", "large24", value) == "-No space left on this namespace"
            left = 8 * MIB - len("one" + "1")
            assert answer(c, "SET", "rest", value[:left + 1]) == "-No space left on this namespace"
            assert answer(c, "SET", "rest", value[:left]) == "rest"
            for i in range(24):
                assert answer(c, "DEL", f"large{i}") == "OK"
            assert answer(c, "GET", "a") == "one"


def refusals(o, report):
    with report.case("what cannot be is refused with a sentence, and what is there stays"):
        with refused("mode: cannot change while 'kv' is there"):
            o.put(mode="seq")
        with refused("has 64 bytes: from 1 to 63"):
            o.put(password="x" * 64)
        done = o.lab.run("exec", "shop/kv", "--", "/bin/true", timeout=60)
        assert done.returncode and "it is a zdb" in done.stderr, done
        with o.lab.forward("shop/kv", 80) as (local, forward):
            with socket.create_connection(("127.0.0.1", local), 60) as s:
                assert s.recv(1) == b"", "a port that it does not have"
        with o.client() as c:
            assert answer(c, "GET", "a") == "one"


def pid_of(node):
    return node.shell(f"for p in $(pidof zdb); do grep -q 'Uid:.{UID}' /proc/$p/status && echo $p; done")[0].strip()


def shut_in(o, node, report):
    with report.case("it is nobody on the node, shut in, and sees its own room alone"):
        pid = pid_of(node)
        said = dict(re.findall(r"^(\w+):[ \t]*(.*)$", node.shell(f"cat /proc/{pid}/status")[0], re.M))
        assert set(said["Uid"].split() + said["Gid"].split()) == {UID} and not said["Groups"].strip(), said
        assert said["NoNewPrivs"] == "1" and said["Seccomp"] == "2" and int(said["CapBnd"], 16) == 0, said
        for ns in ("mnt", "net", "pid", "ipc", "uts"):
            own, init = (node.shell(f"readlink /proc/{p}/ns/{ns}")[0] for p in (pid, 1))
            assert own != init, ns
        root = node.shell(f"ls -1 /proc/{pid}/root; ls -1 /proc/{pid}/root/store")[0].split()
        assert root == ["dev", "lib", "lib64", "store", "usr", "data", "index"], root
        assert "first" not in node.shell(f"cat /proc/{pid}/cmdline /proc/{pid}/environ | tr '\\0' ' '")[0]
        limit = node.shell(f"cat /sys/fs/cgroup$(cut -d: -f3 /proc/{pid}/cgroup)/memory.max")[0].strip()
        assert int(limit) == 64 * MIB, limit


def kept(o, node, report):
    with report.case("killed while clients write, it starts again and has all that was answered"):
        o.put()
        before, told = o.state()["restarts"], []
        with o.client() as c:
            for i in range(200):
                assert answer(c, "SET", f"k{i}", f"v{i}") == f"k{i}"
                told.append(i)
                if i == 150:
                    node.shell(f"kill -9 {pid_of(node)}")
                    break
        until("it has started again", lambda: (s := o.state())["state"] == "ok" and s["restarts"] > before, 60)
        with o.client() as c:
            assert all(answer(c, "GET", f"k{i}") == f"v{i}" for i in told)
    with report.case("the node's engine ends, and the store serves on"):
        pid = pid_of(node)
        with o.client() as c:
            node.shell("kill -9 $(pidof noded)")
            assert answer(c, "SET", "meanwhile", "1") == "meanwhile" and answer(c, "GET", "k1") == "v1"
        o.wait_ok()
        assert pid_of(node) == pid
        with o.client() as c:
            assert answer(c, "GET", "meanwhile") == "1"
    with report.case("it grows and gets another password where it is, with what is in it"):
        o.put(password="second", size="300MiB")
        assert o.state()["size"] == 300 * MIB
        with o.client("second") as c:
            assert "data_limits_bytes: 314572800" in answer(c, "NSINFO", "kv"), answer(c, "NSINFO", "kv")
            assert answer(c, "GET", "k1") == "v1"
        with o.client(select=False) as c:
            assert answer(c, "SELECT", "kv", "first") == "-Access denied"
    with report.case("its owner stops and starts it, and reads what it said and what it takes"):
        o.lab.zos("stop", "shop/kv")
        until("it is stopped", lambda: o.state()["state"] == "stopped", 60)
        assert not pid_of(node)
        o.lab.zos("start", "shop/kv")
        o.wait_ok()
        assert o.lab.zos_json("stats", "--once", "shop/kv")["machines"][0]["memory_limit"] == 64 * MIB
        with o.client("second") as c:
            assert answer(c, "GET", "k1") == "v1"


class Networks(Storage):
    """Machines that talk to a store by its name."""

    def says(self, deployment, machine, host, *lines):
        """What comes back for LINES from the store at HOST, without line ends; "" when nobody is reached."""
        text = "".join(f"{line}\\r\\n" for line in lines)
        try:
            return self.sh(deployment, machine, f"(printf '{text}'; sleep 1) | nc -w 5 {host} {PORT} | tr -d '\\r' | tr '\\n' ' '").strip()
        except Failed:
            return ""

    def kv(self, name, networks, **data):
        return {"name": name, "type": "zdb", "data": {"size": "100MiB", "networks": networks, **data}}

    def member(self, name, *networks):
        return self.box(name, WAIT, [], networks=[{"name": n} for n in networks])


def network(name, subnet):
    return {"name": name, "type": "network", "data": {"subnet": subnet, "outgoing": False}}


def joined(o, s, node, report):
    word = secrets.token_hex(8)
    machines = [s.member("in", "back"), s.member("out")]
    with report.case("in a private network machines reach it by its name, in both families, and others do not"):
        s.put("app", network("back", "10.30.1.0/24"), *machines, s.kv("kv", [{"name": "back", "ip": "10.30.1.9"}], **{"class": "ssd", "password": "once"}),
              s.kv("count", [{"name": "back"}], **{"class": "hdd", "mode": "seq", "password": "once", "public": True}))
        state = s.state("app", "kv")
        assert state["state"] == "ok" and state["address"][0] == "10.30.1.9" and state["port"] == PORT, state
        until("its name is answered", lambda: s.says("app", "in", "kv.back.internal", "PING") == "+PONG", 30)
        assert s.says("app", "in", "kv", "SELECT kv once", f"SET a {word}") == "+OK $1 a"
        for host in state["address"]:
            assert s.says("app", "in", host, "SELECT kv once", "GET a") == f"+OK $16 {word}", host
        assert s.says("app", "in", "kv", "SELECT kv wrong", "GET a").startswith("-Access denied"), "its password is asked for there, too"
        s.put("same", network("back", "10.30.1.0/24"), s.member("in", "back"))
        for name, machine in (("app", "out"), ("same", "in")):
            assert not s.says(name, machine, "10.30.1.9", "PING"), (name, machine)
    with report.case("it has no way into its networks, and none out"):
        stores = pid_of(node).split()
        for pid in stores:
            assert node.shell(f"tail -n +3 /proc/{pid}/net/dev | cut -d: -f1")[0].split() == ["lo"], pid
    with report.case("each lies on a disk of its class; one that counts its keys is read without its password by whom it is public for"):
        classes = {d["uuid"]: d["class"] for d in s.disks().values()}
        assert {name: classes[s.state("app", name)["device"]] for name in ("kv", "count")} == {"kv": "ssd", "count": "hdd"}
        with o.lab.forward("app/count", PORT) as (local, _):
            c = redis.Redis(port=local, socket_timeout=60)
            c.response_callbacks.clear()
            assert c.execute_command("SELECT", "count", "once") == b"OK"
            assert [c.execute_command("SET", "", v) for v in ("one", "two")] == [n.to_bytes(8, "little") for n in (0, 1)]
        assert s.says("app", "in", "count", "SELECT count", "DBSIZE", "SET x 1") == "+OK :2 -Namespace is in read-only mode"
    with report.case("it outlives the engine, and answers after it was killed itself"):
        answers = lambda: s.says("app", "in", "kv", "SELECT kv once", "GET a") == f"+OK $16 {word}"
        node.shell("kill -9 $(pidof noded)")
        until("it answers", answers, 60)  # exec goes through the engine
        assert len(stores) == 2 and pid_of(node).split() == stores
        node.shell(f"kill -9 {' '.join(stores)}")
        until("it answers again", answers, 60)
        assert not set(pid_of(node).split()) & set(stores)
    with report.case("out of its network it is reached no more, and has what it had"):
        s.put("app", network("back", "10.30.1.0/24"), *machines, s.kv("kv", [], **{"class": "ssd", "password": "once"}))
        assert s.state("app", "kv")["address"] == [] and not s.says("app", "in", "10.30.1.9", "PING")
        with o.lab.forward("app/kv", PORT) as (local, _):
            c = redis.Redis(port=local, socket_timeout=60)
            c.response_callbacks.clear()
            assert c.execute_command("SELECT", "kv", "once") == b"OK" and c.execute_command("GET", "a") == word.encode()
        for name in ("app", "same"):
            o.lab.zos("delete", name)
        until("nothing of it is left", lambda: not node.shell("ls /run/zos/network | grep -E '^[0-9a-f]{16}$'")[0], 60)


def main():
    report = Report("make node T=zdb")
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        drive, ssd = f"{lab.dir}/disk", f"{lab.dir}/ssd"
        for path in (drive, ssd):
            with open(path, "wb") as f:
                f.truncate(3000 * MIB)
        flash = ["-drive", f"if=none,format=raw,file={ssd},id=ssd", "-device", "nvme,drive=ssd,serial=ssd"]
        o = Owner(lab)
        with lab.node("debug", memory_mib=1536, drives=[drive], extra=flash) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            until("there is room", lambda: all(lab.zos_json("node", "info")["capacity"][c] > 1000 * MIB for c in ("hdd", "ssd")), 120)
            joined(o, Networks(lab, registry, node), node, report)
            reached(o, report)
            refusals(o, report)
            shut_in(o, node, report)
            kept(o, node, report)
        with report.case("the power fails, and the node that comes back has it"):
            with lab.newcomer(lab.node("debug", memory_mib=1024, drives=[drive], extra=flash)) as (node, _):
                o.wait_ok(120)
                with o.client("second") as c:
                    assert answer(c, "GET", "k1") == "v1" and answer(c, "GET", "a") == "one"
                lab.zos("delete", "shop")
                until("its data is gone", lambda: not node.shell("find /zos/disks/*/volumes -mindepth 1 -maxdepth 1")[0].split(), 60)
                assert not pid_of(node)
    sys.exit(report.end())


main()
