"""An owner's machines with volumes and disks on a booted node."""
import json

from lab import Failed, until
from owner import Owner

WAIT = "trap exit TERM; sleep 100000 & wait"  # a first process without a trap is not ended by SIGTERM, and costs ten seconds


class Storage(Owner):
    def put(self, name, *workloads):
        """Deploys WORKLOADS under NAME and waits until all is as it shall be."""
        self.write(name, workloads)
        self.lab.zos("deploy", f"{self.lab.dir}/{name}.json")

    def write(self, name, workloads):
        with open(f"{self.lab.dir}/{name}.json", "w") as f:
            json.dump({"name": name, "workloads": workloads}, f)

    def box(self, name, script, mounts, **data):
        return {"name": name, "type": "zmachine",
                "data": {"image": self.image, "isolation": "container", "cpu": 0.5, "memory": "96MiB", "mounts": mounts,
                         "entrypoint": ["/usr/bin/sh", "-c", script], **data}}

    def state(self, name, workload):
        return next(w for w in self.lab.zos_json("get", name)["workloads"] if w["name"] == workload)

    def is_in(self, name, workload, state):
        try:
            return self.state(name, workload)["state"] == state
        except Failed:  # the directory knows a node a little longer than the hub does
            return False

    def wait_state(self, name, workload, state, seconds=120):
        until(f"'{workload}' is {state}", lambda: self.is_in(name, workload, state), seconds)

    def sh(self, name, workload, script):
        return self.lab.zos("exec", f"{name}/{workload}", "--", "/usr/bin/sh", "-c", script)

    def disks(self):
        """By serial number, without the one to which a run of tools/coverage writes."""
        return {d["serial"]: d for d in self.lab.zos_json("node", "disks")["disks"] if d["serial"] != "counts"}


def volume(name, size="200MiB", **data):
    return {"name": name, "type": "volume", "data": {"size": size, **data}}


def on(name, path, read_only=False):
    return {"name": name, "path": path, "read_only": read_only}
