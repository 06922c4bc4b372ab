"""fio in a container and in a virtual machine, beside fio on the node itself on the same disk: LUKS2, btrfs, checksums. A container has a volume; a virtual
machine a volume, through virtiofs, and a zmount, a raw disk of its own with ext4.

Each place has a file of SIZE, direct I/O, and each job runs for SECONDS, in all places in turn. What is told is the time of one operation; and, as times are the emulator's, how many
instructions the node's processors execute for one: all that it takes, in fio, in the machine's kernel, in QEMU and in the node's own kernel."""
import json, os, shutil, socket, subprocess, tempfile, time

import workload
from lab import GUEST_SEES_HOST, Failed, Lab, until
from registry import Registry

TREE = "build/measure"
DISK_BYTES, SIZE, SECONDS, ROUNDS = 4 << 30, "64m", 3, 3
DEEP = ["--ioengine=libaio", "--iodepth=32"]  # io_uring is refused in containers
# job -> what fio is told, what is read out of its answer
JOBS = {
    "randread, 4 KiB, depth 1": (["--rw=randread", "--bs=4k"], "read"),
    "randread, 4 KiB, depth 32": (["--rw=randread", "--bs=4k", *DEEP], "read"),
    "randwrite, 4 KiB, depth 1": (["--rw=randwrite", "--bs=4k"], "write"),
    "randwrite, 4 KiB, depth 32": (["--rw=randwrite", "--bs=4k", *DEEP], "write"),
    "sequential read, 1 MiB": (["--rw=read", "--bs=1m"], "read"),
    "sequential write, 1 MiB": (["--rw=write", "--bs=1m"], "write"),
    "fsync after a write of 4 KiB": (["--rw=randwrite", "--bs=4k", "--fsync=1"], "sync"),
}
COUNTS = {"4k": (512, 2560), "1m": (16, 80), "sync": (64, 320)}  # operations: what lies between the two is theirs alone, and not that of fio's start
COUNTER, IDLE_S = "build/release/bench-insn.so", 10
PLACES = {"container": "a container's volume", "vm": "a virtual machine's volume", "zmount": "a virtual machine's zmount"}


MAKE = "make"  # the file, before all jobs: fio would write it in their blocks, which through virtiofs takes minutes


def block(job):
    return next(word for word in JOBS[job][0] if word.startswith("--bs="))[len("--bs="):]


def words(directory, job, count=0):
    """For SECONDS, or COUNT operations."""
    if job == MAKE:
        return ["fio", "--name=bench", f"--directory={directory}", "--filename=bench", f"--size={SIZE}", "--fallocate=none", "--rw=write", "--bs=1m",
                "--end_fsync=1", "--output-format=json"]
    until = [f"--io_size={count * {'4k': 4, '1m': 1024}[block(job)]}k"] if count else ["--time_based", f"--runtime={SECONDS}"]
    return ["fio", "--name=bench", f"--directory={directory}", "--filename=bench", f"--size={SIZE}", "--direct=1", "--randseed=1", "--fallocate=none",
            "--output-format=json", *until, *JOBS[job][0]]


def answer(text):
    return json.loads(text[text.index("{"):])["jobs"][0]


def operations(text, job):
    direction = JOBS[job][1]
    return answer(text)["write" if direction == "sync" else direction]["total_ios"]


def took_us(text, job):
    """Microseconds of one operation: of an fsync the mean, of the others those that passed, by their number."""
    direction = JOBS[job][1]
    one = answer(text)
    if direction == "sync":
        return one["sync"]["lat_ns"]["mean"] / 1000
    return one[direction]["runtime"] * 1000 / one[direction]["total_ios"]


def tree_make(root, program="fio"):
    """PROGRAM and busybox with what they need."""
    os.makedirs(f"{root}/usr/bin")
    for path in ("srv", "raw", "tmp", "dev", "proc", "sys", "etc", "run", "usr/lib64"):
        os.makedirs(f"{root}/{path}", exist_ok=True)
    for name in ("bin", "lib", "lib64"):
        os.symlink(f"usr/{name}", f"{root}/{name}")
    workload.copy(TREE, root, f"{TREE}/usr/bin/{program}")
    for path in workload.libraries(TREE, f"{TREE}/usr/bin/{program}"):
        workload.copy(TREE, root, path)
    if not os.path.exists(f"{root}/usr/lib64/ld-linux-x86-64.so.2"):
        os.symlink("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", f"{root}/usr/lib64/ld-linux-x86-64.so.2")
    for name in ("busybox", "sh", "sleep"):
        shutil.copy2("/usr/bin/busybox", f"{root}/usr/bin/{name}")


def image_make(root, oci):
    for more in (["init", "--layout", oci], ["new", "--image", f"{oci}:latest"], ["insert", "--image", f"{oci}:latest", root, "/"],
                 ["config", "--image", f"{oci}:latest", "--config.entrypoint", "/usr/bin/sleep", "--config.cmd", "100000",
                  "--config.env", "PATH=/usr/bin"]):
        subprocess.run(["umoci", *more], check=True, stdout=subprocess.DEVNULL)


def document(image):
    def machine(name, isolation, *mounts):
        return {"name": name, "type": "zmachine", "data": {"image": image, "isolation": isolation, "cpu": 1, "memory": "320MiB",
                                                           "mounts": [{"name": n, "path": p} for n, p in mounts]}}
    def disk(name, kind):
        return {"name": name, "type": kind, "data": {"size": "256MiB"}}
    return {"name": "fio", "workloads": [disk("one", "volume"), disk("two", "volume"), disk("raw", "zmount"),
                                         machine("box", "container", ("one", "/srv")), machine("vm", "vm", ("two", "/srv"), ("raw", "/raw"))]}


class Places:
    """Where fio runs: text of its answer by place."""

    def __init__(self, lab, node):
        self.lab, self.node = lab, node

    def host_make(self, uuid):
        """The tree, from its disk, in which the node's own file system is /srv."""
        done = self.node.shell("mount -t erofs -o ro /dev/vda /mnt && "
                               f"mkdir -p /zos/disks/{uuid}/bench && mount -o bind /zos/disks/{uuid}/bench /mnt/srv && mount -o bind /proc /mnt/proc && "
                               "mount -o bind /dev /mnt/dev && mount -t tmpfs tmpfs /mnt/tmp", 60)
        if done[1]:
            raise Failed(f"fio on the node: {done[0][-300:]}")

    def run(self, place, job, count=0):
        if place == "host":
            text, status = self.node.shell(f"chroot /mnt /usr/bin/{' '.join(words('/srv', job, count))}", 240)
            if status:
                raise Failed(f"fio on the node: {text[-300:]}")
            return text
        machine, directory = {"container": ("box", "/srv"), "vm": ("vm", "/srv"), "zmount": ("vm", "/raw")}[place]
        done = self.lab.run("exec", f"fio/{machine}", "--", *words(directory, job, count), timeout=240)
        if done.returncode:
            raise Failed(f"fio in {place}: {done.stderr}{done.stdout}"[:300])
        return done.stdout


class Counter:
    """Instructions that the node's processors have executed (bench/insn.c), but for those of a node that does nothing."""

    def __init__(self, path):
        self.path = path
        before, began = self.total(), time.monotonic()
        time.sleep(IDLE_S)
        self.idle = (self.total() - before) / (time.monotonic() - began)

    def total(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            return int(s.makefile().read())

    def executed(self, run):
        """By what RUN does, and its result."""
        before, began = self.total(), time.monotonic()
        result = run()
        return self.total() - before - self.idle * (time.monotonic() - began), result


def measure(s, places):
    for place in ("host", *PLACES):
        places.run(place, MAKE)
    for job in JOBS:
        for _ in range(ROUNDS):
            for place in ("host", *PLACES):
                s.add(f"fio.{job}.{place}", took_us(places.run(place, job), job))


def count(s, places, counter):
    for job in JOBS:
        for place in ("host", *PLACES):
            counts = COUNTS["sync" if JOBS[job][1] == "sync" else block(job)]
            few, many = (counter.executed(lambda n=n: operations(places.run(place, job, n), job)) for n in counts)
            s.add(f"insn.{job}.{place}", (many[0] - few[0]) / (many[1] - few[1]) / 1000)


def part(s):
    with Registry() as registry, tempfile.TemporaryDirectory() as folder, Lab() as lab:
        tree_make(f"{folder}/root")
        image_make(f"{folder}/root", f"{folder}/oci")
        registry.push(f"{folder}/oci", "fio", "1")
        subprocess.run(["mkfs.erofs", "--quiet", f"{folder}/tree.disk", f"{folder}/root"], check=True, stdout=subprocess.DEVNULL)
        with open(f"{folder}/disk", "wb") as f:
            f.truncate(DISK_BYTES)
        lab.start_hub()
        lab.make_farm_with(registry)
        with lab.node("debug", memory_mib=3072, drives=[f"{folder}/tree.disk", f"{folder}/disk"],
                      extra=["-plugin", f"{COUNTER},socket={folder}/instructions"]) as node:
            node.wait_line("all drivers are loaded", 240)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            until("the disk is the node's", lambda: [d["uuid"] for d in lab.zos_json("node", "disks")["disks"] if d["state"] == "ready"], 240)
            uuid = next(d["uuid"] for d in lab.zos_json("node", "disks")["disks"] if d["state"] == "ready")
            with open(f"{folder}/fio.json", "w") as f:
                json.dump(document(f"{registry.host(GUEST_SEES_HOST)}/fio:1"), f)
            lab.zos("deploy", f.name, timeout=900)
            places = Places(lab, node)
            places.host_make(uuid)
            measure(s, places)
            count(s, places, Counter(f"{folder}/instructions"))


def rows():
    """As bench/run's: what, figure, unit, peer, at most, at most of the peer's. A container's operation may take 1 / 0.95 of the time."""
    for place, what in PLACES.items():
        for job in JOBS:
            yield ("fio", f"{job}: {what}; the file system underneath", f"fio.{job}.{place}", "µs", f"fio.{job}.host", None,
                   1 / 0.95 if place == "container" else None)
    for place, what in PLACES.items():
        for job in JOBS:
            yield ("fio", f"instructions of the node for one, {job}: {what}; the file system underneath", f"insn.{job}.{place}", "thousand",
                   f"insn.{job}.host", None, None)
