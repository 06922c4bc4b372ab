"""An owner's machines on a booted node: deployed from a few words, waited for, read."""
import contextlib, json, os, select, time

import workload
from lab import GUEST_SEES_HOST, Failed, Lab, wait_for
from qemu import Timeout
from registry import Registry


class Owner:
    MEMORY = "192MiB"  # of which the kernel of a virtual machine takes a good part

    def __init__(self, lab, registry, node):
        self.lab, self.node = lab, node
        self.image = f"{registry.host(GUEST_SEES_HOST)}/nginx:1"
        registry.push(workload.build("a page", lab.dir, tools=True), "nginx", "1")

    def deploy(self, name, isolation, script, **data):
        """A machine that runs SCRIPT. DATA: more of its document."""
        data = {"image": self.image, "isolation": isolation, "cpu": 1, "memory": self.MEMORY,
                "entrypoint": ["/usr/bin/sh", "-c", script], **data}
        with open(f"{self.lab.dir}/{name}.json", "w") as f:
            json.dump({"name": name, "workloads": [{"name": name, "type": "zmachine", "data": data}]}, f)
        self.lab.zos("deploy", f.name, "--no-wait")

    @contextlib.contextmanager
    def machine(self, name, isolation, script, **data):
        self.deploy(name, isolation, script, **data)
        try:
            yield
        finally:
            self.lab.zos("delete", name)

    def status(self, name):
        try:
            return next(w for w in self.lab.zos_json("get", name)["workloads"] if w["type"] == "zmachine")
        except Failed as e:  # noded is being started again
            return {"state": str(e), "restarts": 0}

    def wait(self, name, what, is_so, seconds=120):
        try:
            return wait_for(f"'{name}' is {what}", lambda: self.status(name), is_so, seconds)
        except Failed as e:
            raise Timeout(f"{e}; {self.log(name)[-1000:]}")

    def log(self, name):
        try:
            return self.lab.zos("logs", name)
        except Failed as e:  # it is not up yet
            return str(e)

    def wait_log(self, name, text, seconds=120, times=1):
        try:
            return wait_for(f"'{text}' is in the log of '{name}'", lambda: self.log(name), lambda log: log.count(text) >= times, seconds)
        except Failed as e:
            raise Timeout(f"{e}; {self.status(name)}")


def read_until(fd, text, seconds=120, times=1):
    """All that came from FD until TEXT was in it that often."""
    deadline, said = time.monotonic() + seconds, ""
    while said.count(text) < times:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise Timeout(f"no '{text}' came: {said[-500:]}")
        said += os.read(fd, 65536).decode()
    return said


@contextlib.contextmanager
def on_a_node(kind=Owner, **more):
    """A KIND of owner on a debug node of a farm of their own. MORE: of the node."""
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        with lab.node("debug", **{"memory_mib": 2048, **more}) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            yield kind(lab, registry, node)
