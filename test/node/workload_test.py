#!/usr/bin/python3
"""nginx on a node, as a container and as a virtual machine: deployed, reached, read, unharmed by what dies around it, deleted without a trace."""
import fcntl, os, pty, re, secrets, select, signal, struct, subprocess, sys, termios, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import terminal, workload
from lab import GUEST_SEES_HOST, ZOS, Failed, Lab, refused, until, wait_for
from qemu import Report, Timeout
from registry import Registry


class TerminalLine:
    """What a terminal shows, as text with deadlines."""

    def __init__(self, fd):
        self.fd, self.text, self.at = fd, "", 0

    def read_until(self, want, seconds):
        deadline = time.monotonic() + seconds
        while want not in self.text[self.at:]:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise Timeout(f"no '{want}' on the terminal: {self.text}")
            self.text += os.read(self.fd, 65536).decode().replace("\r", "")
        self.at = self.text.index(want, self.at) + len(want)


class Setup:
    def __init__(self, lab, registry, node):
        self.lab, self.node, self.nonce = lab, node, secrets.token_hex(8)
        self.image = f"{registry.host(GUEST_SEES_HOST)}/nginx:1"
        self.digest = None
        registry.push(workload.build(f"page {self.nonce}", lab.dir, tools=True), "nginx", "1")
        self.digest = registry.digest("nginx", "1")

    def status(self, name):
        return self.lab.zos_json("get", name)["workloads"][0]

    def sh(self, name, script, *options, **more):
        """(stdout, stderr, exit status) of SCRIPT in machine NAME."""
        done = subprocess.run([ZOS, "exec", *options, name, "--", "/usr/bin/sh", "-c", script], capture_output=True, text=True, timeout=120,
                              env=self.lab.environment(), **more)
        return done.stdout, done.stderr, done.returncode

    def group(self, name):
        """The control group of machine NAME, its runner's and its own."""
        ident, _ = self.node.shell(f"grep -l '\"hostname\":\"{name}\"' /run/zos/machines/*/spec.json | cut -d/ -f5")
        return f"/sys/fs/cgroup/zos/machines/{ident}"

    def runner(self, name):
        return self.node.shell(f"head -n1 {self.group(name)}/runner/cgroup.procs")[0]

    def check_page(self, name):
        page = self.lab.fetch(name)
        assert page.strip() == f"page {self.nonce}", page

    def traces(self):
        """What deployments leave on the node: processes, groups, directories, links, namespaces."""
        text, _ = self.node.shell("ls /run/zos/layers; ls /run/zos/machines /run/zos/network /sys/fs/cgroup/zos/machines | grep -E '^[0-9a-f]{16}$'; "
                                  "ls /sys/class/net | grep ^zm; pidof crun nginx qemu-system-x86_64 machine; mount | grep -E 'netns|layers'")
        return text


def runs(s, report, name, how):
    with report.case(f"{name}: deployed {how}, its page is this run's, its log is read"):
        s.lab.zos("run", s.image, "--name", name, how)
        status = s.status(name)
        assert status["state"] == "ok" and status["isolation"] == how[2:] and status["image_digest"] == s.digest, status
        s.check_page(name)
        log = s.lab.zos("logs", name)
        assert re.search(r'^\S+Z stdout .*"GET / HTTP', log, re.M), log
        assert log.startswith(s.lab.zos("logs", name, "--since", "1h")[:1000]) and not s.lab.zos("logs", name, "--since", "2100-01-01T00:00:00Z")


class Terminal:
    """zos with a terminal of its own; waits on what it shows."""

    def __init__(self, s, *words, rows=24, cols=80):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self.zos = subprocess.Popen([ZOS, *words], stdin=slave, stdout=slave, stderr=slave,
                                    env=dict(s.lab.environment(), TERM="vt100"), start_new_session=True,
                                    preexec_fn=self.sit_down)
        os.close(slave)
        self.line = TerminalLine(self.master)

    @staticmethod
    def sit_down():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever was started in the background ignores it, and so would its children
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def wait(self):
        status = self.zos.wait(60)
        os.close(self.master)
        return status


def inside(s, report, name):
    """What the owner can do inside a machine with zos exec."""
    with report.case(f"{name}: exec has three streams, a user, a directory and an exit status"):
        assert s.sh(name, "read x; echo got $x; echo wrong >&2; exit 7", input="a line\n") == ("got a line\n", "wrong\n", 7)
        out, err, status = s.sh(name, "id -u; id -g; id -G; pwd; echo $HOME", "--user", "app", "--workdir", "/var")
        assert (out.split("\n"), status) == (["1000", "1000", "1000 2000", "/var", "/tmp", ""], 0), (out, err, status)
        big = "x" * 3000000
        assert s.sh(name, "cat", input=big) == (big, "", 0)
        out, err, status = s.sh(name, "true", "--user", "nobody-knows")
        assert status == 125 and "no user 'nobody-knows'" in err, (out, err, status)
        done = subprocess.run([ZOS, "exec", name, "--", "/nope"], capture_output=True, text=True, env=s.lab.environment())
        assert done.returncode == 125 and "nope" in done.stderr, done
    with report.case(f"{name}: exec gives a terminal, its size, its changes and Ctrl-C"):
        t = Terminal(s, "exec", name, "--", "/usr/bin/sh", "-c", "tty; stty size; echo $TERM; trap 'stty size' WINCH; trap 'echo out; exit 5' INT; echo ready; "
                              "while :; do sleep 0.1; done")
        t.line.read_until("/dev/pts/0\n24 80\nvt100\nready", 60)
        t.resize(50, 132)
        t.line.read_until("50 132", 60)
        os.write(t.master, b"\x03")
        t.line.read_until("out", 60)
        assert t.wait() == 5
    with report.case(f"{name}: exec hands signals on, and nothing outlives its session"):
        for number, status in ((signal.SIGTERM, 9), (signal.SIGINT, 8)):
            zos = s.lab.start_zos("exec", name, "--", "/usr/bin/sh", "-c", "trap 'exit 9' TERM; trap 'exit 8' INT; echo ready; "
                                  "while :; do sleep 0.1; done", stdout=subprocess.PIPE, stdin=subprocess.PIPE)
            assert zos.stdout.readline() == "ready\n"
            zos.send_signal(number)
            assert zos.wait(60) == status
        if name != "web": # once is enough of waiting for a client that was killed
            return
        zos = s.lab.start_zos("exec", name, "--", "/usr/bin/sh", "-c", "trap '' HUP; setsid sleep 4321 & echo ready; sleep 4322",
                              stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        assert zos.stdout.readline() == "ready\n"
        assert "sleep 4322" in s.sh(name, "ps -o args")[0]
        zos.send_signal(signal.SIGKILL) # its node hears of that when the session has been silent for half a minute
        zos.wait()
        until("nothing of it is left", lambda: "sleep 432" not in s.sh(name, "ps -o args")[0])
    with report.case(f"{name}: at most eight sessions at once, and then again eight"):
        held = [s.lab.start_zos("exec", name, "--", "/usr/bin/sh", "-c", "echo ready; cat", stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.PIPE)
                for _ in range(8)]
        ready = [h.stdout.readline() for h in held]
        assert ready == ["ready\n"] * 8, (ready, [h.communicate()[1] for h, line in zip(held, ready) if not line])
        out, err, status = s.sh(name, "true")
        assert status == 125 and "8 sessions are open" in err, (out, err, status)
        for h in held:
            h.stdin.close()
        ended = [h.wait(60) for h in held]
        assert ended == [0] * 8, (ended, [h.stderr.read() for h in held])
        assert s.sh(name, "echo again") == ("again\n", "", 0)


def wait_state(s, name, state, seconds=120):
    def look():
        try:
            return s.status(name)["state"]
        except Failed as e: # the engine is being started again
            return str(e)
    wait_for(f"'{name}' is {state}", look, lambda said: said == state, seconds)


def wishes(s, report, name):
    with report.case(f"{name}: paused, nothing runs in it; resumed, it goes on where it was"):
        assert s.sh(name, "echo kept > /dev/shm/mark") == ("", "", 0)
        s.lab.zos("pause", name)
        wait_state(s, name, "paused")
        out, err, status = s.sh(name, "true")
        assert status == 125 and "paused" in err, (out, err, status)
        s.lab.zos("resume", name)
        wait_state(s, name, "ok")
        s.check_page(name)
        assert s.sh(name, "cat /dev/shm/mark") == ("kept\n", "", 0)
    with report.case(f"{name}: stopped, it stays so whatever is killed; started, it serves"):
        s.lab.zos("stop", name)
        wait_state(s, name, "stopped")
        assert "exiting" in s.lab.zos("logs", name) or "shut" in s.lab.zos("logs", name), "the image's StopSignal did not reach nginx"
        for what in ("resume", "pause"):
            with refused("stopped"):
                s.lab.zos(what, name)
        s.node.shell("kill -9 $(pidof noded)")
        wait_state(s, name, "stopped")
        s.node.shell(f"kill -9 {s.runner(name)}")
        wait_state(s, name, "stopped")
        s.lab.zos("start", name)
        wait_state(s, name, "ok")
        s.check_page(name)
    with report.case(f"{name}: restarted, it is another process and no failure"):
        assert s.sh(name, "echo kept > /dev/shm/mark") == ("", "", 0)
        s.lab.zos("restart", name)
        # 0: the old one still, 125: none runs
        wait_for("another runs", lambda: s.sh(name, "cat /dev/shm/mark"), lambda said: said[2] == 1, 120)
        wait_state(s, name, "ok")
        s.check_page(name)
        assert not s.status(name)["restarts"], s.status(name)


def theirs_alone(s, report):
    with report.case("what its owner may do with a machine, the farm may not"):
        said = subprocess.run(["build/release/probe", "machine"], capture_output=True, text=True, env=s.lab.environment())
        assert said.stdout.startswith("ok / zos.Denied that belongs to U"), said
        s.check_page("web") # restarted on the way


def tables(s, report):
    with report.case("tables name both machines and the node, for people as for programs"):
        both = {"web", "web-vm"}
        for words in (("ps",), ("stats", "--once")):
            rows = s.lab.zos(*words).splitlines()
            assert both <= {row.split()[0] for row in rows[1:] if row}, rows
        stats = {m["machine"].split("/")[0]: m for m in s.lab.zos_json("stats", "--once")["machines"]}
        assert set(stats) == both and all(m["memory"] for m in stats.values()), stats
        key = s.lab.wait_nodes()[0]["node"]
        for words in (("node", "list"), ("node", "info"), ("node", "health"), ("node", "disks")):
            said = s.lab.zos(*words)
            assert said.strip() and ("list" not in words or key in said) and "\033" not in said, (words, said)
    with report.case("on a terminal tables are as wide as it is, states have colours, and a key is cut to what zos takes for it"):
        for words in (("ps",), ("get", "web"), ("stats", "--once"), ("node", "list"), ("node", "disks"), ("image", "list")):
            done, shown = terminal.run([ZOS, *words], s.lab.environment())
            plain = re.sub("\033\\[[0-9;]*[A-Za-z]|.*\r", "", shown)
            assert not done.returncode and plain.strip() and max(map(len, plain.splitlines())) <= 80, (words, shown)
        assert "\033[32mok\033[0m" in terminal.run([ZOS, "get", "web"], s.lab.environment())[1]
        assert "\033" not in terminal.run([ZOS, "get", "web"], dict(s.lab.environment(), NO_COLOR="1"))[1]
        cut = re.search(r"^(N\w{7,})…", terminal.run([ZOS, "node", "list"], s.lab.environment())[1], re.M)[1]
        assert key.startswith(cut) and s.lab.zos_json("node", "info", cut)["node"] == key, cut


def lives(s, report):
    with report.case("stats are drawn over each other on a terminal, and are one table after another elsewhere"):
        t = Terminal(s, "stats")
        for _ in range(2):
            t.line.read_until("\033[H", 60)
            t.line.read_until("web-vm", 60)
        os.write(t.master, b"\x03")
        assert t.wait() == -signal.SIGINT
        zos = s.lab.start_zos("stats", stdout=subprocess.PIPE)
        said = [zos.stdout.readline() for _ in range(6)]
        zos.terminate()
        zos.wait(60)
        assert sum(line.startswith("MACHINE") for line in said) == 2 and "\033" not in "".join(said), said
    for name in ("web", "web-vm"):
        with report.case(f"{name}: its console is what it wrote before and what it writes now" + ", its kernel's words among that" * (name == "web-vm")):
            zos = s.lab.start_zos("console", name, stdout=subprocess.PIPE)
            lines = TerminalLine(zos.stdout.fileno())
            lines.read_until("start worker process", 60)
            assert name == "web" or re.search(r"^\[ *\d+\.\d+\] ", lines.text, re.M), lines.text
            word = secrets.token_hex(8)
            subprocess.run([ZOS, "exec", name, "--", "/usr/bin/sh", "-c", f"echo {word} > /proc/1/fd/2"], env=s.lab.environment(), timeout=120)
            lines.read_until(word, 60)
            zos.terminate()
            zos.wait(60)


def what_is_inside(s, report):
    with report.case("the container's root is nobody on the node, filtered, bounded"):
        pid, _ = s.node.shell("pidof nginx | tr ' ' '\\n' | sort -n | head -n1")
        said = dict(re.findall(r"^(\w+):\s*(.*)$", s.node.shell(f"cat /proc/{pid}/status")[0], re.M))
        assert int(said["Uid"].split()[0]) >= 1 << 20 and said["Seccomp"] == "2", said
        group = s.node.shell(f"sed s,^0::,, /proc/{pid}/cgroup")[0]
        at = s.node.shell(f"find /sys/fs/cgroup/zos/machines -name cgroup.procs | while read f; do grep -qx {pid} $f && dirname $f; done")[0]
        limits = s.node.shell(f"d={at}; cat $d/memory.max $d/../memory.max $d/cpu.max $d/../cpu.max 2>/dev/null")[0]
        assert str(256 << 20) in limits and "100000 100000" in limits, (group, at, limits)
    with report.case("in the container what libaio needs is done, and calls that lead into the kernel are refused"):
        with open("build/release/calls", "rb") as f:
            done = subprocess.run([ZOS, "exec", "web", "--", "/usr/bin/sh", "-c", "cat > /calls; chmod 755 /calls; /calls; rm /calls"], stdin=f,
                                  capture_output=True, text=True, timeout=120, env=s.lab.environment())
        assert done.stdout.split() == ["io_pgetevents", "0", *(w for name in ("keyctl", "io_uring_setup", "mount", "unshare") for w in (name, "1"))], done
    with report.case("QEMU runs as a user of its own, without capabilities, filtered"):
        pid, _ = s.node.shell("pidof qemu-system-x86_64")
        said = dict(re.findall(r"^(\w+):\s*(.*)$", s.node.shell(f"cat /proc/{pid}/status")[0], re.M))
        assert said["Uid"].split() == ["904"] * 4 and int(said["CapEff"], 16) == 0 and said["Seccomp"] == "2", said
        assert said["NoNewPrivs"] == "1", said


class Seen:
    """What must be there once and no more, whatever was killed: programs, folders, devices, the lease; and what was counted."""
    DAEMONS = {"noded": "noded", "gridd": "gridd", "imaged": "imaged", "console": "console", "drivers": "modload", "clock": "clock", "dhcp": "dhcpcd"}
    MACHINES = ("web", "web-vm")

    def __init__(self, s, killed=()):
        """KILLED: machines whose processes are others afterwards; of those of nobody else the numbers count too."""
        self.s, self.killed = s, killed

    def processes(self):
        """Of the daemons how many init has started: dhcpcd, for one, has as many below it as it needs."""
        said, _ = self.s.node.shell(f"for p in {' '.join(self.DAEMONS.values())}; do for i in $(pidof $p); do grep -q 'PPid:.1$' /proc/$i/status && echo $p; done; done; "
                                    "for p in crun machine nginx qemu-system-x86_64; do echo $p $(pidof $p); done; ls /run/zos/machines /sys/class/net; "
                                    "ip -4 addr show dev eth0 | grep inet; ip route; cat /run/zos/resolv.conf")
        if self.killed:
            said = re.sub(r"^([\w-]+)((?: \d+)+)$", lambda m: f"{m[1]} x{len(m[2].split())}", said, flags=re.M)
        return sorted(said.splitlines())

    def look(self):
        try:
            health = self.s.lab.zos_json("node", "health")
            machines = {name: self.s.status(name) for name in self.MACHINES}
        except Failed as e:  # the engine, or the line to it, is being started again
            return str(e)
        return {"well": health["ok"], "restarts": {u["name"]: u["restarts"] for u in health["services"]},
                "machines": {name: (now["state"], now["restarts"]) for name, now in machines.items()}, "processes": self.processes()}


def comes_back(s, report, what, kill, services=(), machines=()):
    """KILL, a line of the shell, ends those and no others."""
    with report.case(f"{what}: there again, once, and counted; nobody else noticed"):
        seen = Seen(s, machines)
        want = wait_for("all is well", seen.look, lambda now: not isinstance(now, str) and now["well"])
        assert {state for state, _ in want["machines"].values()} == {"ok"} and any("inet 10.0.2.15" in line for line in want["processes"]), want
        assert "crun" in want["processes"], f"crun leaves something behind at each start: {want}"
        s.node.shell(kill)
        for service in services:
            want["restarts"][service] += 1
        for name in machines:
            want["machines"][name] = ("ok", want["machines"][name][1] + 1)
        wait_for(f"all is as before, and counted: {want}", seen.look, lambda now: now == want, 240)
        for name in seen.MACHINES:
            s.check_page(name)
        assert (now := seen.look()) == want, now


def survives(s, report):
    for daemon in ("noded", "gridd", "imaged"):
        comes_back(s, report, f"kill -9 of {daemon}", f"kill -9 $(pidof {daemon})", services=[daemon])
    comes_back(s, report, "kill -9 of dhcp", "kill -9 $(pidof dhcpcd | tr ' ' '\\n' | sort -n | head -n1)", services=["dhcp"])
    for name in Seen.MACHINES:
        comes_back(s, report, f"kill -9 of the runner of {name}", f"kill -9 {s.runner(name)}", machines=[name])
    comes_back(s, report, "the runner of web is out of memory", f"echo 64K > {s.group('web')}/runner/memory.max", machines=["web"])
    programs = " ".join(Seen.DAEMONS.values())
    comes_back(s, report, "kill -9 of all daemons and runners together", f"kill -9 $(pidof {programs} machine)",
               services=list(Seen.DAEMONS), machines=Seen.MACHINES)
    with report.case("a killed workload is started again"):
        before = s.status("web")["restarts"]
        s.node.shell("kill -9 $(pidof nginx | tr ' ' '\\n' | sort -n | head -n1)")
        until("it was started again", lambda: s.status("web")["restarts"] > before)
        s.check_page("web")
        assert s.status("web")["restarts"] == before + 1, s.status("web")


def grows(s, report, name, how, more_cpu=0, more_mib=0):
    """MORE: what its group has beside, for QEMU."""
    with report.case(f"{name}: other cpu and memory by a new sequence hold on the node, and what was restarted before counts no longer"):
        limits = lambda: s.node.shell(f"cat {s.group(name)}/box/cpu.max {s.group(name)}/box/memory.max")[0].split()
        assert limits() == [str(100000 + more_cpu), "100000", str(256 + more_mib << 20)] and s.status(name)["restarts"], (limits(), s.status(name))
        s.lab.zos("run", s.image, "--name", name, "--cpu", "2", "--memory", "160MiB", how)
        assert limits() == [str(200000 + more_cpu), "100000", str(160 + more_mib << 20)], limits()
        s.check_page(name)
        status = s.status(name)
        assert status["state"] == "ok" and not status["restarts"], status


def refusals(s, report):
    with report.case("an image that is not there is tried again, and told"):
        s.lab.zos("run", s.image.replace("nginx:1", "nothing:1"), "--name", "none", "--container", "--no-wait")
        until("it is tried again", lambda: s.status("none")["state"] == "retrying")
        assert "nothing" in s.status("none")["message"], s.status("none")
        s.lab.zos("delete", "none")
    with report.case("more memory than the node has is refused, with what is left"):
        with refused("needs 64 GiB of memory and this node has"):
            s.lab.zos("run", s.image, "--name", "big", "--memory", "64GiB", "--container")
    with report.case("more processors than the node has are refused, with what it has; all of them, 'web' has"):
        with refused("/workloads/0/data/cpu: 3.000 is more than the node's 2"):
            s.lab.zos("run", s.image, "--name", "web", "--cpu", "3", "--memory", "160MiB", "--container")
        assert s.status("web")["state"] == "ok" and {d["name"] for d in s.lab.zos_json("ps")["deployments"]} == {"web", "web-vm"}


def main():
    report = Report("make node T=workload")
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        with lab.node("debug", memory_mib=2048) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            s = Setup(lab, registry, node)
            clean = s.traces()
            runs(s, report, "web", "--container")
            runs(s, report, "web-vm", "--vm")
            what_is_inside(s, report)
            tables(s, report)
            lives(s, report)
            inside(s, report, "web")
            inside(s, report, "web-vm")
            wishes(s, report, "web")
            wishes(s, report, "web-vm")
            theirs_alone(s, report)
            survives(s, report)
            grows(s, report, "web", "--container", 0)
            grows(s, report, "web-vm", "--vm", more_cpu=50000, more_mib=64)
            refusals(s, report)
            with report.case("deleted without a trace"):
                assert s.traces() != clean
                lab.zos("delete", "web")
                lab.zos("delete", "web-vm")
                assert s.traces() == clean, s.traces()
                assert "Nothing of yours" in lab.zos("ps")
    return report.end()


sys.exit(main())
