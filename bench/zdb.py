"""The key-value store beside redis and valkey: the same client (redis-benchmark), a Unix socket, the server on one processor and the client on
another, in turn, with the server's processor time for each command, which a load from outside changes less. Durable: zdb as it is, the others with appendfsync always; not durable: zdb --sync none, the others without a log."""
import glob, os, shutil, signal, subprocess, tempfile, time

SIZES, CLIENTS, PIPELINES = (64, 4096, 65536), (1, 50, 1000), (1, 16)
PER_KEY = 5  # SETs: then 99 of 100 GETs find their key
PEERS = ("redis", "valkey")


def command(who, durable, folder):
    if who == "zdb":
        return ["build/release/zdb", "--data", f"{folder}/data", "--index", f"{folder}/index", "--socket", f"{folder}/socket", "--sync", "always" if durable else "none"]
    log = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
    return [f"{who}-server", "--port", "0", "--unixsocket", f"{folder}/socket", "--dir", folder, "--save", "", *log]


class Server:
    def __init__(self, who, durable):
        self.folder = tempfile.mkdtemp(prefix="bench-", dir="build")  # a real file system
        self.command = ["taskset", "-c", "0", *command(who, durable, self.folder)]

    def __enter__(self):
        self.start()
        return self

    def start(self):
        self.child = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while subprocess.run(["redis-cli", "-s", f"{self.folder}/socket", "PING"], capture_output=True, text=True).stdout.strip() != "PONG":
            if time.monotonic() > deadline:
                raise RuntimeError("a server does not answer")
            time.sleep(0.02)

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait()
        shutil.rmtree(self.folder)

    def cpu(self):
        """Seconds of a processor that its threads took until now; /proc/PID/stat counts in hundredths, of which a row of 64 KiB has seven."""
        total = 0
        for path in glob.glob(f"/proc/{self.child.pid}/task/*/schedstat"):
            with open(path) as f:
                total += int(f.read().split()[0])
        return total / 1e9

    def run(self, what, size, clients, pipeline, count):
        """SETs or GETs a second, and µs of a processor that the server took for each."""
        before = self.cpu()
        run = subprocess.run(["taskset", "-c", "1", "redis-benchmark", "-s", f"{self.folder}/socket", "-t", what.lower(), "-n", str(count), "-r", str(count // PER_KEY), "-d", str(size),
                              "-c", str(clients), "-P", str(pipeline), "--csv"], capture_output=True, text=True, check=True, timeout=120)
        rate = next(float(line.split(",")[1].strip('"')) for line in run.stdout.splitlines() if line.startswith(f'"{what}"'))
        return rate, (self.cpu() - before) * 1e6 / count

    def wakeups(self):
        lines = [line for path in glob.glob(f"/proc/{self.child.pid}/task/*/status") for line in open(path)]
        return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

    def memory(self):
        """In kB, of what has no file behind it: pages of files are the kernel's cache, and go when somebody wants the room."""
        return next(int(line.split()[1]) for line in open(f"/proc/{self.child.pid}/status") if line.startswith("RssAnon"))


def speed(s):
    for size in SIZES:
        for clients in CLIENTS:
            for pipeline in PIPELINES:
                count = max(2000, (100000 if clients > 1 else 20000) * min(pipeline, 4) * 64 // max(64, size // 16))
                for durable in (False, True):
                    for who in ("zdb", *PEERS):
                        with Server(who, durable) as server:
                            for what in ("SET", "GET"):
                                name = f"{what}.{size}.{clients}.{pipeline}.{'durable' if durable else 'fast'}.{who}"
                                rate, cpu_us = server.run(what, size, clients, pipeline, count)
                                s.add(f"zdb.{name}", rate)
                                s.add(f"zdb.cpu.{name}", cpu_us)


def idle(s, seconds=10):
    """How often it wakes up while nobody asks for anything."""
    for who in ("zdb", *PEERS):
        with Server(who, True) as server:
            before = server.wakeups()
            time.sleep(seconds)
            s.add(f"zdb.idle.{who}", (server.wakeups() - before) / seconds)


def memory(s, keys=2000000):
    """Bytes a key of 16 characters takes, with a value of 8; and how long a start with them takes."""
    for who in ("zdb", *PEERS):
        with Server(who, False) as server:
            before = server.memory()
            fill = subprocess.run(["redis-benchmark", "-s", f"{server.folder}/socket", "-n", str(keys), "-r", str(keys * 100), "-c", "50", "-P", "100", "-q",
                                   "SET", "key:__rand_int__", "valueval"], capture_output=True, text=True, timeout=300)
            count = int(subprocess.run(["redis-cli", "-s", f"{server.folder}/socket", "DBSIZE"], capture_output=True, text=True).stdout.split()[-1])
            if fill.returncode or count < keys * 0.9:
                raise RuntimeError(f"{who}: {count} keys")
            s.add(f"zdb.memory.{who}", (server.memory() - before) * 1024 / count)


def starts(s, keys=10000000):
    with Server("zdb", False) as server:
        subprocess.run(["redis-benchmark", "-s", f"{server.folder}/socket", "-n", str(keys), "-r", str(keys * 100), "-c", "50", "-P", "100", "-q", "SET", "key:__rand_int__", "valueval"],
                       capture_output=True, check=True, timeout=600)
        for how in ("crashed", "unsaved", "stopped"):
            server.child.send_signal(signal.SIGTERM if how == "stopped" else signal.SIGKILL)
            server.child.wait()
            if how == "unsaved":
                os.unlink(f"{server.folder}/index/default/checkpoint")  # it was written while clients were served
            began = time.monotonic()
            server.start()
            s.add(f"zdb.start.{how}", time.monotonic() - began)


def rows():
    """As bench/run's: what, figure, unit, peer, at most, at most of the peer's. More is better but in the last one."""
    for durable, mode in ((False, "fast"), (True, "durable")):
        for size in SIZES:
            for clients in CLIENTS:
                for pipeline in PIPELINES:
                    for what in ("SET", "GET"):
                        name = f"zdb.{what}.{size}.{clients}.{pipeline}.{mode}"
                        yield ("zdb", f"{what} {size} B, {clients} clients, pipeline {pipeline}{', on the disk' if durable else ''}; valkey (more is better)", f"{name}.zdb", "/s", f"{name}.valkey",
                               None, None)
                        if not durable:
                            yield ("zdb", f"{what} {size} B, {clients} clients, pipeline {pipeline}: processor time of the server for each; valkey", f"zdb.cpu.{what}.{size}.{clients}.{pipeline}.fast.zdb",
                                   "µs", f"zdb.cpu.{what}.{size}.{clients}.{pipeline}.fast.valkey", None, 1)
    yield ("zdb", "start with 10 million keys, after a stop", "zdb.start.stopped", "s", None, 2, None)
    yield ("zdb", "the same when it was killed", "zdb.start.crashed", "s", None, 2, None)
    yield ("zdb", "the same without a checkpoint: all records are read", "zdb.start.unsaved", "s", None, None, None)
    yield ("zdb", "wake-ups when nobody asks; valkey", "zdb.idle.zdb", "/s", "zdb.idle.valkey", None, 1)
    yield ("zdb", "memory of a key, 2 million of 16 characters; valkey", "zdb.memory.zdb", "B", "zdb.memory.valkey", None, 0.5)


def part(s):
    speed(s)
    idle(s)
    memory(s)
    starts(s)
