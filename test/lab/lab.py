"""A hub, a farm and nodes on this machine, for tests and the demo: loopback only, free ports, everything below one directory."""
import contextlib, http.client, json, os, random, signal, socket, subprocess, tempfile, time, urllib.request

from qemu import Node, Timeout

ZOS = os.path.abspath(os.environ.get("ZOS", "build/release/zos"))
GUEST_SEES_HOST = "10.0.2.2"  # QEMU's user network


class Failed(Exception):
    """A zos command ended with an error; the text is what it said."""


class Lab:
    def __init__(self, directory=None):
        self.temporary = None if directory else tempfile.TemporaryDirectory(prefix="zos-lab-")
        self.dir = directory or self.temporary.name
        self.config = f"{self.dir}/config"
        self.hub = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stop_hub()
        if self.temporary:
            self.temporary.cleanup()

    def environment(self, config=None):
        return dict(os.environ, ZOS_CONFIG=config or self.config)

    def run(self, *args, config=None, timeout=330, **more):
        """The command, ended, with all it said."""
        return subprocess.run([ZOS, *args], capture_output=True, text=True, env=self.environment(config), timeout=timeout, **more)

    def zos(self, *args, **more):
        """What the command printed; raises Failed with what it complained about."""
        done = self.run(*args, **more)
        if done.returncode:
            raise Failed(done.stderr.strip())
        return done.stdout

    def zos_json(self, *args, **more):
        return json.loads(self.zos(*args, "--json", **more))

    def start_zos(self, *args, config=None, env=(), **more):
        return subprocess.Popen([ZOS, *args], text=True, env=dict(self.environment(config), **dict(env)), **more)

    def start_hub(self, port=0, public=None):
        """Runs a hub on PORT (0: a free one) and waits until it serves. The same port again after stop_hub() makes the same hub.
        PUBLIC: with TLS, under this name and as 127.0.0.1."""
        self.port = port or free_port()
        self.public = public
        self.log = open(f"{self.dir}/hub.log", "a")
        where = ["--public", f"{public}:{self.port}"] if public else ["--port", str(self.port)]
        self.hub = self.start_zos("hub", "run", *where, "--json", stdout=subprocess.PIPE, stderr=self.log)
        line = self.hub_line = self.hub.stdout.readline()
        if not line:
            raise Timeout("the hub did not start: " + open(f"{self.dir}/hub.log").read()[-500:])
        hub = json.loads(line)
        self.hub_key = hub["key"]
        self.hub_ca = [hub["ca"]] if "ca" in hub else []

    def hub_url(self, host="127.0.0.1"):
        return f"{'tls' if self.public else 'nats'}://{host}:{self.port}"

    def stop_hub(self, sig=signal.SIGTERM):
        if self.hub and self.hub.poll() is None:
            self.hub.send_signal(sig)
            self.hub.wait(20)
        if self.hub:
            self.hub.stdout.close()
            self.log.close()
        self.hub = None

    def add_hub(self, other):
        """Uses OTHER's hub, too."""
        self.zos("hub", "use", other.hub_url(), other.hub_key, *other.hub_ca)

    def make_farm_on(self, *labs, name="demo"):
        """A farm whose nodes, in QEMU, are on the hubs of LABS; this lab's commands reach the same hubs on loopback."""
        for lab in labs:
            self.zos("hub", "use", lab.hub_url(GUEST_SEES_HOST), lab.hub_key, *lab.hub_ca)
        self.zos("farm", "init", name)
        for lab in labs:
            self.add_hub(lab)

    def make_farm(self, name="demo", *options):
        self.zos("farm", "init", name, "--hub", f"nats://{GUEST_SEES_HOST}:{self.port}", "--hub-key", self.hub_key, *options)

    @contextlib.contextmanager
    def forward(self, name, port):
        """The local port that leads to PORT of NAME, through the end-to-end session, and the process that holds it."""
        forward = self.start_zos("forward", name, f"0:{port}", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            line = forward.stdout.readline()
            if not line:
                raise Failed(forward.stderr.read().strip())
            yield json.loads(line)["port"], forward
        finally:
            forward.terminate()
            forward.communicate()

    def fetch(self, name, port=80, seconds=120, path=""):
        """The page that machine NAME serves; waits for its server to start."""
        deadline = time.monotonic() + seconds
        with self.forward(name, port) as (local, forward):
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{local}/{path}", timeout=20) as page:
                        return page.read().decode()
                except (OSError, http.client.HTTPException) as e:
                    if time.monotonic() > deadline or forward.poll() is not None:
                        raise Timeout(f"no page from '{name}': {e}")
                    select_pause()

    def node(self, flavour="cloud", **more):
        farm = open(f"{self.config}/farm.json", "rb").read()
        return Node(flavour, credentials={"farm.cred": farm}, **more)

    def make_farm_with(self, registry):
        """A farm whose nodes trust REGISTRY and may reach it, and whose user is this lab's."""
        with open(f"{self.dir}/registry-ca.pem", "w") as f:
            f.write(registry.ca_pem)
        self.make_farm("demo", "--registry", registry.host(GUEST_SEES_HOST), "--registry-ca", f.name, "--open", f"{GUEST_SEES_HOST}/32")
        self.zos("farm", "allow", self.zos("key").strip())

    @contextlib.contextmanager
    def newcomer(self, node, farm="demo"):
        """Starts NODE, which brings a farm document by itself, and yields it with its record: it is up and on its farm's hub. One that has disks may be
        the same node as before."""
        def starts():
            return {(n["node"], n["boot_time"]): n for n in self.zos_json("node", "list")}
        known = starts()
        with node:
            node.wait_line(r"is up, (\d+) services", 200)
            until("a node has come", lambda: starts().keys() - known.keys())
            new = [n for start, n in starts().items() if start not in known]
            assert [n["farm_name"] for n in new] == [farm], new
            yield node, new[0]

    def wait_nodes(self, count=1, seconds=60):
        """The directory's records, once there are COUNT of them."""
        deadline = time.monotonic() + seconds
        while True:
            nodes = self.zos_json("node", "list")
            if len(nodes) >= count:
                return nodes
            if time.monotonic() > deadline:
                raise Timeout(f"{len(nodes)} of {count} nodes in the directory after {seconds} s")
            select_pause()


def drawn(words):
    """What draws as SEED says, which is printed with WORDS."""
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    print(f"     {words}, seed {seed}")
    return random.Random(seed)


def sample(rows, count=1):
    """COUNT of ROWS; all of them where ALL is set."""
    return rows if os.environ.get("ALL") else drawn(f"{count} of {len(rows)}").sample(rows, count)


@contextlib.contextmanager
def refused(*words):
    """What is asked of zos in here is refused with one of WORDS."""
    try:
        yield
    except Failed as e:
        assert any(w in str(e) for w in words), e
    else:
        raise AssertionError(f"it was done, and '{words[0]}' was expected")


def select_pause(look_s=0):
    """Between two looks at something that sends no event: the directory, seen from outside. A look that took LOOK_S has kept what is looked at from
    its work for as long: a node in an emulator gets four times that for itself."""
    time.sleep(min(max(0.2, 4 * look_s), 3))


def wait_for(what, look, is_so=bool, seconds=60):
    """What LOOK sees, once IS_SO says yes to it."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if is_so(seen := look()):
            return seen
        if time.monotonic() > deadline:
            raise Failed(f"in {seconds} s it was not so that {what}: the last seen is {seen}")
        select_pause(time.monotonic() - began)


def until(what, is_so, seconds=60):
    """Looks until IS_SO says yes."""
    wait_for(what, is_so, seconds=seconds)


def free_port():
    """Below the range that outgoing connections take theirs from: who asks for it a second later finds it free."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
