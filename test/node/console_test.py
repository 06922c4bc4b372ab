#!/usr/bin/python3
"""What the machine shows: who it is, on the serial line and on the screen, and that its hub is gone when it is."""
import calendar, os, re, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
from lab import Lab
from qemu import Report
import screen

PICTURES = "build/screens"


def parse(utc):
    return calendar.timegm(time.strptime(utc, "%Y-%m-%dT%H:%M:%SZ"))


def lines_of_block(node):
    """The last block on the serial line."""
    blocks = re.findall(r"(?:^\|.*\n)+", node.console.text, re.M)
    return blocks[-1] if blocks else ""


def serial(lab, node, report):
    with report.case("the serial line names the node as the directory does"):
        record = lab.record = lab.wait_nodes()[0]
        groups = " ".join(record["node"][i:i + 8] for i in range(0, 56, 8))
        node.console.at = 0
        node.wait_line(r"^\| Node +" + groups + "$", 30)
        node.wait_line(r"^\| Farm +demo, not approved$", 30)
        node.wait_line(r"^\| Hub +connected", 30)
        node.wait_line(r"^\| Network +eth0  10\.0\.2\.15/24", 30)
    with report.case("an approval is shown"):
        lab.zos("farm", "approve", record["node"])
        node.wait_line(r"^\| Farm +demo, approved$", 30)


def seconds_of_console(node):
    """CPU time of the process, in hundredths."""
    text, _ = node.shell("cut -d' ' -f14,15 /proc/$(pidof console)/stat")
    return sum(map(int, text.split()))


def quiet(node, report):
    with report.case("nothing new, no block; and the process sleeps"):
        before, spent = node.console.text.count("\n| Node"), seconds_of_console(node)
        node.shell("sleep 25")  # two ticks of its clock, inside the guest
        assert node.console.text.count("\n| Node") == before, lines_of_block(node)
        assert seconds_of_console(node) - spent < 50, seconds_of_console(node) - spent


def pictures(node, report, name):
    with report.case(f"a picture of the screen: {name}"):
        time.sleep(1)  # a drawing is at most that late; a picture sends no event
        width, height, colours = screen.shot(node, f"{PICTURES}/{name}.png")
        assert width >= 640 and height >= 350 and 3 <= colours <= 32, (width, height, colours)


def diagnosis_of(node):
    """The text at the end of the last block, which is broken into lines there."""
    return re.sub(r"[|\s]", "", lines_of_block(node).split("Diagnosis")[-1])


def diagnosed(lab, node, report):
    with report.case("after a while a code tells it, too: signed by the node, and good without a hub"):
        node.wait_line(r"^\| Diagnosis +ZOS:.*\n(\| +[A-Z2-7]+\n){2}", 60)
        told = lab.zos_json("node", "diagnose", diagnosis_of(node))
        assert told["node"] == lab.record["node"] and told["flavour"] == "debug" and told["approved"], told
        assert "10.0.2.15/24" in told["addresses"] and abs(time.time() - parse(told["time"])) < 600, told
    with report.case("its modules are on the screen, each where it belongs"):
        deadline = time.monotonic() + 30
        while True:  # a new one may have been signed between the line and the screen
            code = subprocess.run(["build/release/code", diagnosis_of(node)], capture_output=True, text=True, check=True).stdout.splitlines()
            seen = screen.modules(node, len(code), 80, 25, (2, 1))
            if seen == code:
                break
            assert time.monotonic() < deadline, "\n".join(seen + code)
            time.sleep(0.5)  # a drawing sends no event
    with report.case("a reader of such codes finds it in the picture, and what it reads is the node's word"):
        deadline = time.monotonic() + 30
        while (texts := screen.codes_read(node)) != [diagnosis_of(node)]:
            assert time.monotonic() < deadline, (texts, diagnosis_of(node))
            time.sleep(0.5)  # as above
        assert lab.zos_json("node", "diagnose", texts[0])["node"] == lab.record["node"]


def hub_goes(lab, node, report):
    with report.case("a hub that is gone is told within 30 s, and why"):
        port, began = lab.port, time.monotonic()
        lab.stop_hub()
        node.wait_line(r"^\| Hub +not connected", 30)
        print(f"     told after {time.monotonic() - began:.1f} s")
        node.wait_line(r"no hub runs at 10\.0\.2\.2, port", 60)
    diagnosed(lab, node, report)
    pictures(node, report, "hub-gone")
    with report.case("and its return"):
        lab.start_hub(port)
        node.wait_line(r"^\| Hub +connected", 60)


def daemons_go(node, report):
    with report.case("an engine and a line that were killed are back on the screen; the console, too"):
        for daemon in ("noded", "gridd", "console"):
            node.shell(f"kill -9 $(pidof {daemon})")
            node.wait_line(f"{daemon}: up", 60)
        node.wait_line(r"^\| Hub +connected", 60)
    pictures(node, report, "after-kills")


def cable(node, report):
    with report.case("a cable that is pulled is the reason that is given"):
        node.qmp("set_link", name="net", up=False)
        node.wait_line(r"eth0  no cable", 60)
        node.wait_line(r"^\| Hub +not connected", 60)
        node.console.at = 0
        node.wait_line(r"no cable is plugged in", 60)
        node.qmp("set_link", name="net", up=True)


def main():
    report = Report("make node T=console")
    with Lab() as lab:
        lab.start_hub()
        lab.make_farm()
        with lab.node("debug", extra=screen.VGA) as node:
            with report.case("boots"):
                node.wait_line(r"is up, (\d+) services", 120)
            serial(lab, node, report)
            pictures(node, report, "approved")
            quiet(node, report)
            hub_goes(lab, node, report)
            daemons_go(node, report)
            cable(node, report)
            print("     its last block:\n" + lines_of_block(node))
    return report.end()


sys.exit(main())
