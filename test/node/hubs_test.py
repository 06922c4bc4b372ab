#!/usr/bin/python3
"""A node and a client on two hubs at once, one of them with TLS: each may go away without the others noticing."""
import os, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import GUEST_SEES_HOST, Failed, Lab, select_pause, until, wait_for
from qemu import Report, Timeout


def hubs(lab):
    """How the node says it stands with each hub, by port."""
    return {int(h["url"].rsplit(":", 1)[1]): h for h in lab.zos_json("node", "info")["hubs"]}


def wait_hubs(lab, want, seconds=30, may_break=False):
    """MAY_BREAK: other hubs in the farm document restart the node's line, and with it the sessions (decision 050)."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            got = hubs(lab)
        except Failed:
            if not may_break or time.monotonic() > deadline:
                raise
            select_pause()
            continue
        if {port: h["up"] for port, h in got.items()} == want:
            return got
        if time.monotonic() > deadline:
            raise Timeout(f"{got}, not {want}, after {seconds} s")
        select_pause()


def one_goes(lab, gone, stays, report):
    with report.case("one of two hubs is killed: the client finds the node through the other, without being told"):
        gone.stop_hub(signal.SIGKILL)
        began = time.monotonic()
        lab.zos("node", "info")
        took = time.monotonic() - began
        print(f"     answered after {took:.1f} s")
        assert took < 6, f"{took:.1f} s"
    with report.case("the node says which hub is gone, and why"):
        wait_hubs(lab, {gone.port: False, stays.port: True})
        wait_for("it says why", lambda: hubs(lab), lambda got: "no hub runs at" in got[gone.port]["why"], 20)
        health = lab.zos_json("node", "health")
        assert health["ok"] is False and len(health["hubs"]) == 2, health
    with report.case("it is on it again when it is back"):
        gone.start_hub(gone.port, public=gone.public)
        wait_hubs(lab, {gone.port: True, stays.port: True})
        until("it is well", lambda: lab.zos_json("node", "health")["ok"] is True)  # some services come late: nobody waits for them


def another_authority(lab, hub, report):
    with report.case("a hub whose certificate another authority signed is not used, and the node says so"):
        path = f"{hub.config}/hub/hub.keys"
        keys = open(path).read()
        hub.stop_hub()
        with open(path, "w") as f:
            f.writelines(keys.splitlines(True)[:-1])  # the authority's
        hub.start_hub(hub.port, public=hub.public)
        wait_hubs(lab, {lab.port: True, hub.port: False})
        wait_for("it says why", lambda: hubs(lab), lambda got: "signed by another authority" in got[hub.port]["why"], 30)
        hub.stop_hub()
        with open(path, "w") as f:
            f.write(keys)
        hub.start_hub(hub.port, public=hub.public)
        wait_hubs(lab, {lab.port: True, hub.port: True})


def main():
    report = Report("make node T=hubs")
    with Lab() as lab, Lab() as other:
        lab.start_hub()
        other.start_hub(public=GUEST_SEES_HOST)
        lab.make_farm_on(lab, other)
        with lab.node() as node:
            with report.case("boots and is on both hubs, one of which has TLS by the authority that the farm names"):
                node.wait_line(r"is up, (\d+) services", 120)
                lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
                lab.zos("farm", "allow", lab.zos("key").strip())
                wait_hubs(lab, {lab.port: True, other.port: True})
                assert len(lab.zos_json("node", "list")) == 1
            one_goes(lab, lab, other, report)
            one_goes(lab, other, lab, report)
            another_authority(lab, other, report)
            with report.case("a hub that is forgotten is used no more"):
                lab.zos("hub", "forget", other.hub_url())
                assert [h["url"] for h in lab.zos_json("hub", "list")] == [f"nats://127.0.0.1:{lab.port}"]
                lab.zos("node", "info")
            with report.case("the farm takes it from its nodes, too"):
                lab.zos("hub", "use", f"nats://127.0.0.1:{lab.port},nats://10.0.2.2:{lab.port}", lab.hub_key)
                assert "use 1 hub" in lab.zos("farm", "hubs")
                wait_hubs(lab, {lab.port: True}, may_break=True)
    return report.end()


sys.exit(main())
