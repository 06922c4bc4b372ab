"""An owner of machines that boot disk images."""
import json

import debian
from lab import GUEST_SEES_HOST
from owner import Owner


class DiskOwner(Owner):
    def __init__(self, lab, registry, node):
        self.lab, self.node, self.registry, self.images = lab, node, registry, {}

    def push(self, name, disks):
        """DISKS: file to its name in the image."""
        self.registry.push(debian.layout(f"{self.lab.dir}/{name}", disks), name, "1")
        self.images[name] = f"{self.registry.host(GUEST_SEES_HOST)}/{name}:1"

    def deploy_disk(self, name, image, *others, **data):
        doc = {"image": self.images[image], "boot": "disk", "cpu": 2, "memory": "512MiB", **data}
        with open(f"{self.lab.dir}/{name}.json", "w") as f:
            json.dump({"name": name, "secrets": {"seed": {"env": "SEED"}} if "user_data" in data else {},
                       "workloads": [{"name": name, "type": "zmachine", "data": doc}, *others]}, f)
        self.lab.zos("deploy", f.name, "--no-wait")
