#!/usr/bin/python3
"""WireGuard on the image's kernel, which the kernel of whoever builds may not have: test/node/wireguard.c, on a debug node."""
import os, re, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from qemu import Node, Report

report = Report("make node T=wireguard")
with Node("debug") as node:
    with report.case("the module is loaded for whoever asks, and no other so"):
        node.wait_line(r"is up, (\d+) services", 200)
        assert node.shell("test -d /sys/module/wireguard || test -d /sys/module/vxlan")[1] == 1
        assert node.shell("/usr/lib/zos/modload only vxlan")[1] == 1
        assert node.shell("/usr/lib/zos/modload only wireguard", 200)[1] == 0
        assert node.shell("test -d /sys/module/wireguard && ! test -d /sys/module/vxlan")[1] == 0
    text, status = node.shell("wireguard-pair 2>&1", 300)
    for result, name in re.findall(r"^(ok|not ok) \d+ - test_(\w+)$", text, re.M):
        with report.case(name.replace("_", " ")):
            assert result == "ok", text
    with report.case("all of it was run"):
        assert status == 0 and re.search(r"^1\.\.5$", text, re.M), text
sys.exit(report.end())
