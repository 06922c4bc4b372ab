"""A node in QEMU, for tests and the demo. Waits on lines of its console, never on time; always ends what it started.

    with Node("debug") as node:
        node.wait_line("is up", 60)
        print(node.shell("cat /proc/uptime"))
"""
import json, os, re, select, shutil, signal, socket, subprocess, tarfile, tempfile, threading, time

OVMF = "/usr/share/OVMF/OVMF"  # UEFI for QEMU
FAILED = "the emulator failed its machine"
# A processor got no time or no timer for 21 s, or the guest's watchdog ended it for that; or it ran half of what the kernel was writing anew in its own code
# (a breakpoint that is there for a moment, and that other processors' emulation sees too late).
FAULTS = r"rcu: INFO: .* stalls on CPUs|softdog: Initiating system reboot|Oops: int3:"
COVERAGE = os.environ.get("COVERAGE")  # a tree with an image that counts the lines it runs: tools/coverage
COUNTS_BYTES = 256 << 20
# With one thread for all processors of a node (thread=single) a virtual machine in it does not come up within a minute.
CPU = ["-M", "q35", "-cpu", "EPYC,+svm", "-accel", "tcg,thread=multi"]
# what a medium may lie on, as arguments of QEMU
MEDIA = {"USB": ["-device", "qemu-xhci", "-device", "usb-storage,drive=media,bootindex=0"],
         "CD": ["-device", "ide-cd,drive=media,bootindex=0"],
         "NVMe": ["-device", "nvme,drive=media,serial=media,bootindex=0"],
         "AHCI": ["-device", "ahci,id=ahci", "-device", "ide-hd,bus=ahci.0,drive=media,bootindex=0"]}


class Timeout(Exception):
    """What was waited for did not come; the message ends with the console's last lines."""


def archive(tree, names):
    """What the kernel unpacks, of NAMES in TREE."""
    return subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0", "-D", tree], check=True, capture_output=True,
                          input="".join(n + "\n" for n in names).encode()).stdout


class Line:
    """A socket that QEMU serves, read as lines, with deadlines; and read all the while: QEMU stands still over a console that nobody reads."""

    def __init__(self, path, deadline):
        self.sock = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.sock.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise Timeout(f"QEMU did not open {path}")
                select.select([], [], [], 0.01)
        self.text = ""  # all that ever came
        self.at = 0     # what was waited for so far
        self.has_ended = False
        self.news = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        """Until QEMU ends."""
        while not self.has_ended:
            try:
                data = self.sock.recv(65536)
            except OSError:
                data = b""
            with self.news:
                self.has_ended = not data
                self.text += data.decode(errors="replace").replace("\r", "")
                self.news.notify_all()

    def read_until(self, pattern, deadline):
        """The match of PATTERN behind what was waited for last."""
        regex = re.compile(pattern, re.M)
        with self.news:
            while not (match := regex.search(self.text, self.at)):
                if self.has_ended or not self.news.wait(deadline - time.monotonic()):
                    why = f"QEMU ended before '{pattern}'" if self.has_ended else f"no '{pattern}' in time"
                    raise Timeout(f"{why}; the last lines:\n" + "\n".join(self.text.splitlines()[-15:]))
            self.at = match.end()
            return match


class Node:
    def __init__(self, flavour="cloud", memory_mib=1024, cpus=2, append="", drives=(), net="user,ipv4=on,ipv6=on", extra=(),
                 credentials=None, image_dir=None, cmdline=None, media=None, media_on=None, netboot=None, uefi=None,
                 secure=False, card="virtio-net-pci"):
        """DRIVES: paths of raw images, as virtio disks. NET: a -netdev without its id. EXTRA: more arguments of QEMU.
        CREDENTIALS: name -> bytes, such as farm.cred; init shows them under /run/boot/credentials.
        IMAGE_DIR, CMDLINE: another system than ours. MEDIA: what UEFI starts from instead. MEDIA_ON: what it lies on, a CD when it ends
        with .iso, else a USB stick. NETBOOT: "bios" or "uefi", which then starts what NET's tftp= and bootfile= say. UEFI: a file with the
        firmware's variables, which outlives the node; also where QEMU starts the kernel. SECURE: with Secure Boot, as those variables
        have it. CARD: the model of the network card."""
        self.counts = COVERAGE and flavour == "debug" and not image_dir
        self.image = image_dir or (f"{COVERAGE}/image" if self.counts else f"build/image/{flavour}")
        self.memory_mib, self.cpus, self.append = memory_mib, cpus, append
        self.drives, self.net, self.extra, self.credentials = drives, net, extra, credentials or {}
        self.cmdline = cmdline or open("os/cmdline").read().strip()
        self.media, self.netboot, self.card = media, netboot, card
        self.media_on = media_on or ("CD" if media and media.endswith(".iso") else "USB")
        self.variables, self.secure = uefi, secure
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def initrd(self):
        """The image's archive and, behind it, one with the credentials."""
        if not self.credentials:
            return f"{self.image}/initrd.img"
        tree, path = f"{self.dir.name}/tree", f"{self.dir.name}/initrd.img"
        os.makedirs(f"{tree}/.extra/credentials")
        names = [".extra", ".extra/credentials"]
        for name, data in self.credentials.items():
            names.append(f".extra/credentials/{name}")
            with open(f"{tree}/{names[-1]}", "wb") as f:
                f.write(data)
        with open(path, "wb") as out:
            first = open(f"{self.image}/initrd.img", "rb").read()
            out.write(first + b"\0" * (-len(first) % 4) + archive(tree, names))
        return path

    def boot(self):
        """The arguments that say what the machine starts."""
        if self.netboot:
            return ["-boot", "n", *(self.uefi() if self.netboot == "uefi" else [])]
        if not self.media:
            return [*(self.uefi() if self.variables else []),
                    "-kernel", f"{self.image}/vmlinuz", "-initrd", self.initrd(), "-append", self.cmdline + " " + self.append]
        return [*self.uefi(), "-drive", f"if=none,format=raw,snapshot=on,file={self.media},id=media", *MEDIA[self.media_on]]

    def uefi(self):
        variables = self.variables or shutil.copyfile(f"{OVMF}_VARS_4M.fd", f"{self.dir.name}/uefi")
        code = "CODE_4M.secboot" if self.secure else "CODE_4M"
        return ["-global", f"driver=cfi.pflash01,property=secure,value={'on' if self.secure else 'off'}",
                "-drive", f"if=pflash,format=raw,readonly=on,file={OVMF}_{code}.fd", "-drive", f"if=pflash,format=raw,file={variables}"]

    def start(self):
        self.dir = tempfile.TemporaryDirectory(prefix="zos-node-")
        at = self.dir.name
        args = ["qemu-system-x86_64", *CPU, "-smp", str(self.cpus), "-m", str(self.memory_mib), "-nodefaults", "-no-reboot",
                "-display", "none", *self.boot(),
                "-chardev", f"socket,id=console,path={at}/console,server=on,wait=on", "-serial", "chardev:console",
                "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=shell,path={at}/shell,server=on,wait=off", "-device", "virtconsole,chardev=shell",
                "-qmp", f"unix:{at}/qmp,server=on,wait=off",
                "-netdev", f"{self.net},id=net", "-device", f"{self.card},netdev=net{'' if self.netboot else ',romfile='}"]
        for i, path in enumerate(self.drives):
            args += ["-drive", f"file={path},if=none,format=raw,id=disk{i}", "-device", f"virtio-blk-pci,drive=disk{i},serial=disk{i}"]
        if self.counts:
            with open(f"{at}/counts", "wb") as f:
                f.truncate(COUNTS_BYTES)
            args += ["-drive", f"file={at}/counts,if=none,format=raw,id=counts", "-device", "virtio-blk-pci,drive=counts,serial=counts"]
        with open(f"{at}/qemu.log", "w") as log:
            self.process = subprocess.Popen([*args, *self.extra], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        self.console = Line(f"{at}/console", deadline)
        self.hvc = Line(f"{at}/shell", deadline)
        self.commands = 0

    def counts_take(self):
        """What the node's programs counted, onto the disk and from there into the tree; a node that is past answering has none."""
        try:
            self.shell("tar -c -C /tmp . > /dev/$(grep -l counts /sys/block/vd*/serial | cut -d/ -f4); sync", 60)
        except (Timeout, OSError) as e:
            return print(f"     no counts from this node: {str(e).splitlines()[0]}")
        with tarfile.open(f"{self.dir.name}/counts", ignore_zeros=False) as tar:
            for member in tar:
                if member.name.endswith(".profraw"):
                    with open(f"{COVERAGE}/counts/{os.getpid()}-{id(self)}-{os.path.basename(member.name)}", "wb") as f:
                        f.write(tar.extractfile(member).read())

    def is_emulators(self):
        """Whether what fails is the emulator's doing, or this computer's: FAULTS, or QEMU ended over an assertion of its own."""
        return bool(self.fault()) or (self.process and self.process.poll() == -signal.SIGABRT)

    def fault(self):
        """Where the guest's kernel tells of one, and what it says behind that."""
        return re.search(f"(?:{FAULTS})(?:.*\n){{0,15}}", self.console.text) if hasattr(self, "console") else None

    def tell_fault(self):
        """Said so that tools/test knows, and a reader."""
        if self.is_emulators():
            said = self.fault()[0].splitlines() if self.fault() else self.console.text.splitlines()[-15:]
            print(f"     {FAILED}; it said:\n" + "\n".join(f"     | {line}" for line in said), flush=True)

    def close(self):
        self.tell_fault()
        if self.process and self.process.poll() is None and self.counts:
            self.counts_take()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        if getattr(self, "dir", None):
            self.dir.cleanup()

    def wait_line(self, pattern, seconds=60):
        """Waits for PATTERN on the console, behind the last one waited for. Returns the match."""
        try:
            return self.console.read_until(pattern, time.monotonic() + seconds)
        except Timeout as e:
            if not self.console.has_ended:
                raise
            said = [line for line in open(f"{self.dir.name}/qemu.log") if "TCG doesn't support" not in line and "waiting for connection" not in line]
            raise Timeout(f"QEMU ended with {self.process.wait(10)} and said '{''.join(said).strip()}': {e}")

    def shell(self, command, seconds=60):
        """Runs COMMAND in the debug flavour's shell. Returns (its output, its exit status)."""
        self.commands += 1
        mark = f"mark-{os.getpid()}-{self.commands}"
        # the marks are spelt in two parts, so that the echo of the line itself is not taken for them
        half = f"{mark[:5]}''{mark[5:]}"
        self.hvc.sock.sendall(f"echo {half}-begin; {command}; echo {half}-end-$?\n".encode())
        deadline = time.monotonic() + seconds
        begin = self.hvc.read_until(f"^.*{mark}-begin$\n", deadline).end()
        end = self.hvc.read_until(f"{mark}-end-(\\d+)$", deadline)
        return self.hvc.text[begin:end.start()].rstrip("\n"), int(end[1])

    def qmp(self, command, **arguments):
        """Sends one QMP command, such as system_powerdown."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{self.dir.name}/qmp")
            s.sendall(b'{"execute":"qmp_capabilities"}' + json.dumps({"execute": command, "arguments": arguments}).encode())
            answers = b""
            while answers.count(b'"return"') < 2: # greeting and events aside, one for each command
                data = s.recv(4096)
                answers += data
                if not data or b'"error"' in answers:
                    raise Timeout(f"QEMU did not take '{command}': {answers.decode()}")

    def wait_end(self, seconds=60):
        """Waits until QEMU has ended by itself. Returns its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Timeout("QEMU still runs; the last lines:\n" + "\n".join(self.console.text.splitlines()[-15:]))


class Report:
    """Counts of one test program: `with report.case(name):` around each, report.end() last."""

    def __init__(self, again):
        self.again, self.passed, self.failed = again, 0, 0
        self.since = time.monotonic()

    def case(self, name):
        return _Case(self, name)

    def lap(self):
        """How long it was since the case before ended, where that is worth a look: what a case waited for stands in it, and a boot too."""
        began, self.since = self.since, time.monotonic()
        return f" ({self.since - began:.0f} s)" * (self.since - began >= 5)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed, 0 skipped")  # none has a way to
        if self.failed:
            print(f"run it again with: {self.again}")
        return 1 if self.failed else 0


class _Case:
    def __init__(self, report, name):
        self.report, self.name = report, name

    def __enter__(self):
        return self

    def __exit__(self, kind, value, _):
        if kind is None:
            self.report.passed += 1
            print(f"ok   {self.name}{self.report.lap()}", flush=True)
        elif issubclass(kind, Exception):
            self.report.failed += 1
            print(f"FAIL {self.name}: {kind.__name__}: {value}", flush=True)
        else:
            return False
        return True
