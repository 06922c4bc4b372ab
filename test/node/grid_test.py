#!/usr/bin/python3
"""A node on the grid: it appears in the directory, answers through the hub, belongs to who approved it, and takes no order that is not right."""
import os, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Failed, Lab, refused, until
from qemu import Report, Timeout


def approval(lab, key, report):
    with report.case("the directory names it, not approved"):
        record = lab.wait_nodes()[0]
        assert record["node"] == key and record["farm_name"] == "demo" and record["approved"] is False, record
    with report.case("an unapproved node is used by nobody, an approved one is"):
        with refused("not approved by your farm"):
            lab.zos("ps")
        lab.zos("farm", "approve", key)
        lab.zos("farm", "allow", lab.zos("key").strip())
        assert "Nothing of yours" in lab.zos("ps")
    with report.case("it answers through the hub who it is"):
        info = lab.zos_json("node", "info")
        assert info["node"] == key and info["approved"] is True and info["flavour"] == "debug" and info["durable"] is False, info


def looks_inside(lab, report):
    with report.case("its services are told to who may deploy, their lines to the farm alone"):
        until("it is well", lambda: lab.zos_json("node", "health")["ok"] is True)  # some come late: nobody waits for them
        states = {s["name"]: s["state"] for s in lab.zos_json("node", "health")["services"]}
        assert states["noded"] == "up" and states["gridd"] == "up" and states["drivers"] == "up" and states["disks"] == "done", states
        assert "noded: approved by farm 'demo'" in lab.zos("node", "logs", "noded")
        with refused("there is no service 'nothing'"):
            lab.zos("node", "logs", "nothing")


def reboots(lab, node, report):
    with report.case("a reboot is carried out by order of the farm"):
        assert "comes back" in lab.zos("node", "reboot")
        assert node.wait_end() == 0 # -no-reboot: QEMU ends where the machine would start again


def strangers(lab, key, report):
    stranger = f"{lab.dir}/stranger"
    lab.zos("hub", "use", f"nats://127.0.0.1:{lab.port}", lab.hub_key, config=stranger)
    with report.case("a key that the farm does not know is told what would change it"):
        farm = lab.zos_json("node", "info")["farm"]
        lab.zos("farm", "trust", farm, config=stranger)
        user = lab.zos("key", config=stranger).strip()
        with refused(f"zos farm allow {user}"):
            lab.zos("ps", config=stranger)
        lab.zos("farm", "allow", user)
        assert "Nothing of yours" in lab.zos("ps", config=stranger)
    with report.case("another farm's key approves nothing here"):
        lab.zos("farm", "init", "thief", config=stranger)
        with refused("only the farm's own key may do this"):
            lab.zos("farm", "approve", key, config=stranger)


def comes_back(lab, node, report, what, act, seconds):
    with report.case(f"{what}: back within {seconds} s"):
        lab.zos("node", "info")
        act()
        began, last = time.monotonic(), None
        while True:
            try:
                lab.zos("node", "info", timeout=30)
                break
            except Failed as e:
                last = e
                if time.monotonic() - began > seconds:
                    raise Timeout(f"not back after {seconds} s: {last}")
        print(f"     back after {time.monotonic() - began:.1f} s")


def hub_restarts(lab):
    lab.stop_hub(signal.SIGTERM)
    lab.start_hub(lab.port)


def main():
    report = Report("make node T=grid")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        with lab.node("debug") as node:
            key = None
            with report.case("boots and is on the grid"):
                node.wait_line(r"is up, (\d+) services", 120)
                key = lab.wait_nodes()[0]["node"]
            if key:
                approval(lab, key, report)
                looks_inside(lab, report)
                strangers(lab, key, report)
                for daemon in ("noded", "gridd"):
                    comes_back(lab, node, report, f"kill -9 of {daemon}", lambda: node.shell(f"kill -9 $(pidof {daemon})"), 15)
                comes_back(lab, node, report, "the hub restarts", lambda: hub_restarts(lab), 10)
                reboots(lab, node, report)
    return report.end()


sys.exit(main())
