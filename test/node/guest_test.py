#!/usr/bin/python3
"""guest-init with the guests' kernel in an emulator of its own: no node around it, this program is its runner (doc/guest-channel.md)."""
import os, re, select, socket, struct, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import machine
from qemu import COVERAGE, CPU, Report, Timeout, archive

IMAGE = f"{COVERAGE}/image" if COVERAGE else "build/image/debug"
OPTIONS = "console=ttyS0 quiet loglevel=4 panic=-1 reboot=t random.trust_cpu=on cryptomgr.notests 8250.nr_uarts=1 initcall_blacklist=cmos_init"  # src/machine/qemu.c
CONFIG, SIGNAL, READY, FAILED, EXIT = 1, 2, 16, 17, 18
STDIN, EOF, RESIZE, E_SIGNAL, HANGUP, START, OUT, ERR, CREDIT, E_EXIT, E_FAILED = 1, 2, 3, 4, 5, 6, 16, 17, 18, 19, 20
CONTROL, OUTPUT, ERRORS, EXEC, PORTS = 1, 2, 3, 4, 11
OOM = 256
SECONDS = 60
COUNTS_BYTES = 8 << 20


def text(s):
    return struct.pack("<I", len(s) + 1) + s.encode() + b"\0"


def texts(list):
    return struct.pack("<I", len(list)) + b"".join(map(text, list))


def config(script, argv=None, layers=1, workdir="/srv", user="app", rootfs=16 << 20, mounts=(), search=()):
    return (struct.pack("<QIII", rootfs, 0x0a000001, 0x0a000000, layers) + text("box") + text(workdir) + text(user) +
            texts(["10.0.2.3"]) + texts(argv or ["/bin/sh", "-c", script]) + texts(["PATH=/bin", "WORD=of the configuration"]) +
            struct.pack("<I", len(mounts)) + b"".join(text(path) + text(kind) + bytes([read_only]) for path, kind, read_only in mounts) +
            struct.pack("<I", 0) + texts(search))  # no links into private networks: test/node/network_test.py has those


def start(*argv, tty=False, user="", workdir=""):
    short = lambda s: struct.pack("<H", len(s) + 1) + s.encode() + b"\0"
    return struct.pack("<HHHH", tty, 30, 90, len(argv)) + b"".join(map(short, (user, workdir, "vt100" if tty else "", *argv)))


class Guest:
    """One virtual machine with LAYERS (files of machine.make_layer()), which is told SAID, a frame's payload."""

    def __init__(self, parts, layers, said, memory_mib=192):
        self.parts, self.layers, self.said, self.memory_mib = parts, layers, said, memory_mib
        self.heard = {n: b"" for n in range(PORTS + 1)}  # 0: the console
        self.dir = tempfile.TemporaryDirectory(prefix="zos-guest-")

    def __enter__(self):
        pairs = [socket.socketpair() for _ in range(PORTS + 1)]
        self.ends = [ours for ours, _ in pairs]
        self.open = list(self.ends)
        fds = [theirs.fileno() for _, theirs in pairs]
        args = ["qemu-system-x86_64", *CPU, "-smp", "1", "-m", str(self.memory_mib), "-nodefaults", "-no-reboot", "-display", "none",
                "-kernel", f"{self.parts}/vmlinuz", "-initrd", f"{self.parts}/initrd", "-append", OPTIONS,
                "-chardev", f"socket,id=console,fd={fds[0]}", "-serial", "chardev:console",
                "-device", f"virtio-serial-pci,max_ports={PORTS + 1}",
                "-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="]
        for n in range(1, PORTS + 1):
            args += ["-chardev", f"socket,id=port{n},fd={fds[n]}", "-device", f"virtserialport,chardev=port{n},nr={n}"]
        for i, path in enumerate(self.layers):
            args += ["-drive", f"file={path},if=none,format=raw,readonly=on,id=layer{i}", "-device", f"virtio-blk-pci,drive=layer{i},serial=layer{i}"]
        if COVERAGE:
            with open(f"{self.dir.name}/counts", "wb") as f:
                f.truncate(COUNTS_BYTES)
            args += ["-drive", f"file={f.name},if=none,format=raw,id=counts", "-device", "virtio-blk-pci,drive=counts,serial=counts"]
        with open(f"{self.dir.name}/log", "w") as log:
            self.qemu = subprocess.Popen(args, pass_fds=fds, stdin=subprocess.DEVNULL, stderr=log)
        for _, theirs in pairs:
            theirs.close()
        self.send(CONTROL, self.frame(CONFIG, self.said))
        return self

    def __exit__(self, *_):
        self.qemu.kill()
        self.qemu.wait()
        for end in self.ends:
            end.close()
        if COVERAGE:
            self.counts_take()
        self.dir.cleanup()

    def counts_take(self):
        with open(f"{self.dir.name}/counts", "rb") as f:
            n, = struct.unpack("<Q", f.read(8))
            if n:
                with open(f"{COVERAGE}/counts/{os.getpid()}-{id(self)}-guest.profraw", "wb") as to:
                    to.write(f.read(n))

    @staticmethod
    def frame(kind, payload=b""):
        return struct.pack("<BBHI", 1, kind, 0, len(payload)) + payload

    @staticmethod
    def exec_frame(kind, payload=b""):
        return struct.pack("<BBH", kind, 0, len(payload)) + payload

    def send(self, port, data):
        self.ends[port].sendall(data)

    def hear(self, is_so, what):
        """Reads all ports until IS_SO, or until QEMU has closed them."""
        deadline = time.monotonic() + SECONDS
        while not is_so() and self.open:
            ready = select.select(self.open, [], [], max(0, deadline - time.monotonic()))[0]
            if not ready:
                raise Timeout(f"not {what} in {SECONDS} s: {self.heard}")
            for end in ready:
                data = end.recv(65536)
                self.heard[self.ends.index(end)] += data
                if not data:
                    self.open.remove(end)
        assert is_so(), (what, self.heard)

    def words(self):
        """What it said on the channel: [(type, payload)]."""
        at, all, data = 0, [], self.heard[CONTROL]
        while len(data) - at >= 8:
            version, kind, zero, n = struct.unpack_from("<BBHI", data, at)
            assert (version, zero) == (1, 0), data
            all.append((kind, data[at + 8:at + 8 + n]))
            at += 8 + n
        return all

    def frames(self, port):
        at, all, data = 0, [], self.heard[port]
        while len(data) - at >= 4 and len(data) - at - 4 >= struct.unpack_from("<H", data, at + 2)[0]:
            kind, _, n = struct.unpack_from("<BBH", data, at)
            all.append((kind, data[at + 4:at + 4 + n]))
            at += 4 + n
        return all

    def ready(self):
        self.hear(lambda: self.words()[:1] == [(READY, b"")], "ready")

    def end(self):
        """Until it has switched itself off. Returns its last word's number, or sentence."""
        self.hear(lambda: not self.open, "over")
        assert self.qemu.wait(SECONDS) == 0, open(f"{self.dir.name}/log").read()[-500:]
        kind, payload = self.words()[-1]
        return struct.unpack("<I", payload)[0] if kind == EXIT else payload.decode()

    def run(self, port, *argv, **more):
        """(output, errors, exit status or sentence) of a program beside the machine's own."""
        self.send(port, self.exec_frame(START, start(*argv, **more)))
        return self.listen(port)

    def listen(self, port):
        last = lambda: [f for f in self.frames(port) if f[0] in (E_EXIT, E_FAILED)]
        self.hear(last, "the end of a program")
        frames, (kind, payload) = self.frames(port), last()[0]
        said = lambda kind: b"".join(p for k, p in frames if k == kind).decode()
        self.heard[port] = b""
        self.send(port, self.exec_frame(HANGUP))
        return said(OUT), said(ERR), struct.unpack("<I", payload)[0] if kind == E_EXIT else payload.decode()


def runs(parts, layer, report):
    script = """echo $(hostname) $(id -un) $(id -Gn) $PWD "$WORD" $HOME; cat /etc/resolv.conf /etc/hosts /etc/hostname; ip addr show eth0; ip route
                df -k / | tail -n1; ls /init /modules 2>&1; echo no >&2; echo again > /dev/stderr; (sleep 1000 &) ; (exit 3 &); exit 7"""
    with report.case("a program runs as its user, with its files, name and network; its last word comes before the end"):
        with Guest(parts, [layer], config(script, search=["net.internal"])) as g:
            assert g.end() == 7, g.words()
            out, err = g.heard[OUTPUT].decode(), g.heard[ERRORS].decode()
        assert out.startswith("box app app /srv of the configuration /home/app\nsearch net.internal\nnameserver 10.0.2.3\n127.0.0.1 localhost\n"), out
        assert "10.0.0.1 box\nbox\n" in out and "inet 10.0.0.1/31" in out and "default via 10.0.0.0 dev eth0" in out, out
        assert 15000 < int(re.search(r"^root +(\d+)", out, re.M)[1]) <= 16384 and out.count("No such file") == 2, out
        assert err == "no\nagain\n" and g.words() == [(READY, b""), (EXIT, struct.pack("<I", 7))], (err, g.words())


def layers(parts, layer, folder, report):
    machine.make_layer({"etc": None, "etc/motd": (0o644, b"above"), "srv": None, "srv/.wh.page": b""}, f"{folder}/above")
    machine.make_layer({"srv": None, "srv/page": (0o644, b"below"), "etc": None, "etc/motd": (0o644, b"below")}, f"{folder}/below")
    with report.case("layers lie over one another in their order, whatever order the disks are found in"):
        script = "cat /etc/motd; ls /srv; touch /etc/new && cat /proc/1/comm"
        with Guest(parts, [f"{folder}/below", layer, f"{folder}/above"], config(script, layers=3, user="0:0")) as g:
            assert g.end() == 0, g.words()
            assert g.heard[OUTPUT] == b"aboveinit\n", g.heard


def fails(parts, layer, report):
    rows = [("a layer that is not there", config("", layers=2), "there is no disk layer1"),
            ("a disk that is not there", config("", mounts=[("/data", "ext4", False)]), "mount what belongs on /data: there is no disk mount0"),
            ("a program that is not there", config("", argv=["/bin/none"]), "run /bin/none in /srv: No such file or directory"),
            ("a user that is not there", config("", user="nobody"), "nobody"),
            ("half a configuration", config("")[:-1], "read the machine's configuration: Bad message"),
            ("a configuration with something behind it", config("") + b"\0", "read the machine's configuration: Bad message")]
    for name, said, why in rows:
        with report.case(f"{name} is told, and that is the end"), Guest(parts, [layer], said) as g:
            word = g.end()
            assert why in str(word) and len(g.words()) == 1, g.words()


def heard(parts, layer, report):
    with report.case("a signal reaches the program; who ignores it ends with the next"):
        script = "trap 'echo asked' TERM; echo up; while :; do sleep 0.1; done"
        with Guest(parts, [layer], config(script)) as g:
            g.hear(lambda: b"up" in g.heard[OUTPUT], "up")
            g.send(CONTROL, g.frame(SIGNAL, struct.pack("<I", 15)))
            g.hear(lambda: b"asked" in g.heard[OUTPUT], "asked")
            g.send(CONTROL, g.frame(SIGNAL, struct.pack("<I", 9)))
            assert g.end() == 128 + 9, g.words()
    with report.case("who takes more memory than there is is killed, and the last word says so"):
        with Guest(parts, [layer], config("tail /dev/zero"), memory_mib=160) as g:
            assert g.end() == 128 + 9 + OOM, g.words()
    for name, nonsense in (("talks nonsense", Guest.frame(99, b"x" * 8)), ("sends a signal that is none", Guest.frame(SIGNAL, struct.pack("<I", 65)))):
        with report.case(f"a runner that {name} is not heard any more, and the program goes on"):
            with Guest(parts, [layer], config("echo up; read x < /proc/uptime; sleep 2; echo done")) as g:
                g.hear(lambda: b"up" in g.heard[OUTPUT], "up")
                g.send(CONTROL, nonsense + g.frame(SIGNAL, struct.pack("<I", 9)))
                g.hear(lambda: b"done" in g.heard[OUTPUT], "done")


def beside(parts, layer, report):
    with Guest(parts, [layer], config("echo up; while :; do sleep 1; done")) as g:
        g.ready()
        with report.case("programs run beside it, each with its streams and status, one after the other on a port and several at once"):
            assert g.run(EXEC, "/bin/sh", "-c", "echo out; echo err >&2; exit 5") == ("out\n", "err\n", 5)
            g.send(EXEC, g.exec_frame(START, start("/bin/cat")) + g.exec_frame(STDIN, b"there and back"))
            g.hear(lambda: (OUT, b"there and back") in g.frames(EXEC), "the echo")
            assert g.run(EXEC + 7, "/bin/id", "-un", user="root", workdir="/etc") == ("root\n", "", 0)
            g.send(EXEC, g.exec_frame(EOF))
            assert g.listen(EXEC) == ("there and back", "", 0)
        with report.case("one has a terminal of the size that was asked for, and hears when it changes"):
            g.send(EXEC, g.exec_frame(START, start("/bin/sh", "-c", "trap 'stty size; exit 4' WINCH; tty; echo $TERM; stty size; "
                                                   "while :; do sleep 0.1; done", tty=True)))
            g.hear(lambda: b"30 90" in g.heard[EXEC], "its size")
            g.send(EXEC, g.exec_frame(RESIZE, struct.pack("<HH", 50, 132)))
            out, err, status = g.listen(EXEC)
            assert status == 4 and out.replace("\r", "") == "/dev/pts/0\nvt100\n30 90\n50 132\n" and not err, (out, err, status)
        with report.case("what cannot run is told, and what outlives its caller does not"):
            assert "run /bin/none in /srv" in g.run(EXEC, "/bin/none")[2]
            assert "nobody" in str(g.run(EXEC, "/bin/true", user="nobody")[2])
            g.send(EXEC, g.exec_frame(START, start("/bin/sh", "-c", "trap '' HUP; echo mine; exec sleep 4321")))
            g.hear(lambda: b"mine" in g.heard[EXEC], "mine")
            g.send(EXEC, g.exec_frame(HANGUP))
            gone = lambda: g.run(EXEC + 1, "/bin/sh", "-c", "pidof -s sleep; ps | grep -c '[4]321'")[0].strip().endswith("0")
            deadline = time.monotonic() + SECONDS
            while not gone():
                assert time.monotonic() < deadline, g.heard
        with report.case("and when the machine's own program ends, nothing is left that could hold it up"):
            g.send(EXEC, g.exec_frame(START, start("/bin/sleep", "1000")))
            g.send(CONTROL, g.frame(SIGNAL, struct.pack("<I", 9)))
            assert g.end() == 128 + 9, g.words()


def parts_take(folder):
    """The guests' kernel and archive out of the image; when it is to count its lines, with a place for them."""
    for name in ("vmlinuz", "initrd"):
        with open(f"{folder}/{name}", "wb") as f:
            subprocess.run(["dump.erofs", "--cat", f"--path=/usr/lib/zos/guest/{name}", f"{IMAGE}/root.erofs"], check=True, stdout=f)
    if COVERAGE:
        os.makedirs(f"{folder}/tree/tmp")
        with open(f"{folder}/initrd", "ab") as f:
            f.write(b"\0" * (-f.tell() % 4) + archive(f"{folder}/tree", ["tmp"]))
    machine.make_layer(machine.busybox_layer(), f"{folder}/layer")
    return folder, f"{folder}/layer"


def main():
    report = Report("make node T=guest")
    with tempfile.TemporaryDirectory(prefix="zos-guest-") as folder:
        parts, layer = parts_take(folder)
        runs(parts, layer, report)
        layers(parts, layer, folder, report)
        fails(parts, layer, report)
        heard(parts, layer, report)
        beside(parts, layer, report)
    return report.end()


sys.exit(main())
