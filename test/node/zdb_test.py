#!/usr/bin/python3
"""A key-value store as a workload: deployed, reached by redis' own client through the session, shut in, kept over every end of what runs it."""
import contextlib, json, os, re, socket, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import redis
from lab import Failed, Lab, refused, until
from qemu import Report

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


def main():
    report = Report("make node T=zdb")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        lab.zos("farm", "allow", lab.zos("key").strip())
        drive = f"{lab.dir}/disk"
        with open(drive, "wb") as f:
            f.truncate(3000 * MIB)
        o = Owner(lab)
        with lab.node("debug", memory_mib=1024, drives=[drive]) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            until("there is room", lambda: lab.zos_json("node", "info")["capacity"]["hdd"] > 1000 * MIB, 120)
            reached(o, report)
            refusals(o, report)
            shut_in(o, node, report)
            kept(o, node, report)
        with report.case("the power fails, and the node that comes back has it"):
            with lab.newcomer(lab.node("debug", memory_mib=1024, drives=[drive])) as (node, _):
                o.wait_ok(120)
                with o.client("second") as c:
                    assert answer(c, "GET", "k1") == "v1" and answer(c, "GET", "a") == "one"
                lab.zos("delete", "shop")
                until("its data is gone", lambda: not node.shell("ls /zos/disks/*/volumes")[0].split(), 60)
                assert not pid_of(node)
    sys.exit(report.end())


main()
