#!/usr/bin/python3
"""Images and secrets on a node: a private registry, a tag that moves, an archive pushed without a registry, and who may see what."""
import json, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import workload
from lab import GUEST_SEES_HOST, Failed, Lab, refused, wait_for
from qemu import Report
from registry import Registry

LOGIN = ("shop", "registry pass:word")


def machine(image, **data):
    return {"name": "web", "type": "zmachine",
            "data": {"image": image, "isolation": "container", "cpu": 0.5, "memory": "128MiB", **data}}


class Setup:
    def __init__(self, lab, registry, node):
        self.lab, self.registry, self.node = lab, registry, node
        self.image = f"{registry.host(GUEST_SEES_HOST)}/shop/web:1"
        self.push_tag("first page")

    def push_tag(self, page):
        self.oci = workload.build(page, self.lab.dir, tools=True)
        self.registry.push(self.oci, "shop/web", "1")
        return self.registry.digest("shop/web", "1")

    def deploy(self, document, *options):
        path = f"{self.lab.dir}/{document['name']}.json"
        with open(path, "w") as f:
            json.dump(document, f)
        return self.lab.zos("deploy", *options, path)

    def status(self, name):
        return self.lab.zos_json("get", name)["workloads"][0]

    def shop(self, **more):
        return {"name": "shop", "secrets": {"db": {"env": "DB_PASSWORD"}, "registry": {"file": "registry.txt"}},
                "workloads": [machine(self.image, pull={"user": LOGIN[0], "secret": "registry"},
                                      env={"TZ": "UTC", "DB_PASSWORD": {"secret": "db"}}, **more)]}


def look(s, name, **more):
    """The workload's status; none while the engine is coming up."""
    try:
        return json.loads(s.lab.zos("--json", "get", name, **more))["workloads"][0]
    except Failed as e:
        assert "engine is starting" in str(e), e
        return {"state": "none"}


def wait_state(s, name, want, seconds=90, **more):
    """The workload's status once it is WANT; there is no event to wait for from outside but the next look."""
    return wait_for(f"'{name}' is {want}", lambda: look(s, name, **more), lambda now: now["state"] == want, seconds)


def secrets(s, report):
    with report.case("a private image is pulled with a sealed password, and env gets a sealed value"):
        os.environ["DB_PASSWORD"] = "hunter2 of the database"
        with open(f"{s.lab.dir}/registry.txt", "w") as f:
            f.write(LOGIN[1] + "\n")
        s.deploy(s.shop())
        assert s.status("shop")["state"] == "ok", s.status("shop")
        assert s.lab.fetch("shop/web").strip() == "first page"
        assert s.lab.zos("exec", "shop/web", "--", "/usr/bin/sh", "-c", 'echo "$DB_PASSWORD"').strip() == "hunter2 of the database"
    with report.case("'zos run' does the same with options"):
        s.lab.zos("run", s.image, "--name", "quick", "--container", "--memory", "128MiB", "--login", LOGIN[0],
                  "--password", f"{s.lab.dir}/registry.txt", "--secret", "DB_PASSWORD")
        assert s.lab.zos("exec", "quick", "--", "/usr/bin/sh", "-c", 'echo "$DB_PASSWORD"').strip() == "hunter2 of the database"
        assert "hunter2" not in s.lab.zos("export", "quick")
        s.lab.zos("delete", "quick")
    with report.case("neither is in the document, the status, a log or the node's store"):
        exported = s.lab.zos("export", "shop")
        assert "db" in exported and len(json.loads(exported)["secrets"]["db"]) > 1500
        told = exported + json.dumps(s.status("shop")) + s.lab.zos("logs", "shop/web")
        text, status = s.node.shell("grep -rl -e hunter2 -e 'pass:word' /run/zos/state /run/log /tmp 2>/dev/null; true")
        kept = "".join(s.lab.zos("node", "logs", unit) for unit in ("noded", "gridd", "imaged"))
        assert not text.strip() and all(w not in told + kept for w in ("hunter2", "pass:word")), (text, told)
    with report.case("the same again touches nothing, another value restarts the machine, and a dry run says so"):
        path = f"{s.lab.dir}/shop.json"
        pid = s.node.shell("pidof nginx")[0].split()
        assert s.lab.zos_json("deploy", "--dry-run", path)["changes"][0]["change"] == "keep"
        s.deploy(s.shop())
        assert s.node.shell("pidof nginx")[0].split() == pid, "it was restarted"
        os.environ["DB_PASSWORD"] = "another"
        change = s.lab.zos_json("deploy", "--dry-run", path)["changes"][0]
        assert change["change"] == "restart" and change["fields"] == ["secrets"], change
        s.deploy(s.shop())
        assert s.lab.zos("exec", "shop/web", "--", "/usr/bin/sh", "-c", 'echo "$DB_PASSWORD"').strip() == "another"
    with report.case("a value in clear in the file is refused before anything is sent"):
        document = s.shop()
        document["secrets"]["db"] = "hunter2"
        with refused("a value in clear has no place in this file"):
            s.deploy(document)
    with report.case("without the password the image is not to be had, though its layers are there"):
        bare = {"name": "thief", "workloads": [machine(s.image)]}
        s.deploy(bare, "--no-wait")
        now = wait_state(s, "thief", "retrying")
        assert "does not let everybody pull" in now["message"], now
        s.lab.zos("delete", "thief")


def tags(s, report):
    with report.case("a tag that moved is found by the next sequence, not by a restart of the engine"):
        before = s.status("shop")["image_digest"]
        after = s.push_tag("second page")
        s.node.shell("kill $(pidof noded)")
        assert wait_state(s, "shop", "ok")["image_digest"] == before
        s.deploy(s.shop())
        assert s.status("shop")["image_digest"] == after != before
        assert s.lab.fetch("shop/web").strip() == "second page"
    with report.case("with the registry dead a new sequence keeps what runs, says so, and finds the tag when it is back"):
        after = s.push_tag("third page")
        port = s.registry.port
        s.registry.stop()
        s.deploy(s.shop())
        now = s.status("shop")
        assert now["state"] == "degraded" and "registry" in now["message"], now
        assert s.lab.fetch("shop/web").strip() == "second page"
        s.registry.start(port)
        assert wait_state(s, "shop", "ok")["image_digest"] == after
        assert s.lab.fetch("shop/web").strip() == "third page"


def pushed(s, report):
    archive = f"{s.lab.dir}/from-afar.tar"
    with report.case("an archive is pushed through the session and runs by its digest"):
        oci = workload.build("pushed page", s.lab.dir, tools=True)
        subprocess.run(["skopeo", "--insecure-policy", "--tmpdir", s.lab.dir, "copy", "--quiet", f"oci:{oci}:latest", f"oci-archive:{archive}"],
                       check=True)
        s.reference = s.lab.zos("image", "push", archive).strip()
        assert s.reference.startswith("local/from-afar@sha256:"), s.reference
        assert s.lab.zos_json("image", "push", archive)["reference"] == s.reference
        s.deploy({"name": "pushed", "workloads": [machine(s.reference)]})
        assert s.lab.fetch("pushed/web").strip() == "pushed page"
    with report.case("a damaged archive is refused with a reason"):
        data = bytearray(open(archive, "rb").read())
        data[len(data) // 2] ^= 1
        with open(f"{s.lab.dir}/damaged.tar", "wb") as f:
            f.write(data)
        with refused("the archive"):
            s.lab.zos("image", "push", f"{s.lab.dir}/damaged.tar")
    with report.case("images are listed for their owner, and pruning leaves what is in use"):
        rows = s.lab.zos_json("image", "list")["images"]
        assert [(i["used_by"], i["size"] > 1 << 20) for i in rows if i["reference"] == s.reference] == [(["pushed/web"], True)], rows
        tagged = [i["used_by"] for i in rows if i["reference"] == s.image] # what the tag stood for before is still there
        assert len(tagged) > 1 and tagged.count(["shop/web"]) == 1, rows
        assert "pushed/web" in s.lab.zos("image", "list")
        s.lab.zos("image", "prune")
        left = {i["reference"]: i["used_by"] for i in s.lab.zos_json("image", "list")["images"]}
        assert left == {s.reference: ["pushed/web"], s.image: ["shop/web"]}, left
        assert s.lab.fetch("pushed/web").strip() == "pushed page"
    with report.case("another owner neither sees the image nor runs it, and the farm sees all"):
        stranger = f"{s.lab.dir}/stranger"
        os.mkdir(stranger, 0o700)
        with open(f"{stranger}/profile.json", "w") as f:
            json.dump(json.load(open(f"{s.lab.config}/profile.json")), f)
        s.lab.zos("farm", "allow", s.lab.zos("key", config=stranger).strip())
        assert json.loads(s.lab.zos("--json", "image", "list", config=stranger))["images"] == []
        with open(f"{s.lab.dir}/theirs.json", "w") as f:
            json.dump({"name": "theirs", "workloads": [machine(s.reference)]}, f)
        s.lab.zos("deploy", "--no-wait", f"{s.lab.dir}/theirs.json", config=stranger)
        now = wait_state(s, "theirs", "retrying", config=stranger)
        assert "'zos image push FILE' brings it" in now["message"], now
        s.lab.zos("delete", "theirs", config=stranger)
        assert len(s.lab.zos_json("image", "list", "--farm")["images"]) == 2
    with report.case("deleted, an image goes with the next prune"):
        s.lab.zos("delete", "pushed")
        assert s.lab.zos_json("image", "prune")["images"] == 1
        assert [i["reference"] for i in s.lab.zos_json("image", "list")["images"]] == [s.image]


def main():
    report = Report("make node T=pull")
    with Lab() as lab, Registry(login=LOGIN) as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        with lab.node("debug", memory_mib=2048) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            s = Setup(lab, registry, node)
            secrets(s, report)
            tags(s, report)
            pushed(s, report)
    return report.end()


sys.exit(main())
