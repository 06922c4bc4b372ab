#!/usr/bin/python3
"""Bad luck at random: deployments come, change and go while daemons, runners, workloads and the hub are killed; after each round what
should run does, and what should not does not. ROUNDS and SEED set how long and which; the seed is printed."""
import os, random, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import workload
from lab import GUEST_SEES_HOST, Failed, Lab, select_pause, wait_for
from qemu import Report, Timeout
from registry import Registry

NAMES = ("a", "b", "c")
ROUNDS = int(os.environ.get("ROUNDS", 5))
SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))
PATIENCE_S = 90
RUNNERS = "for p in $(pidof machine); do echo $p of $(grep PPid /proc/$p/status), $(tr '\\0' ' ' < /proc/$p/cmdline), $(cat /proc/$p/wchan); done"
LEFT = "{ ls -d /run/zos/machines/*/ /run/zos/network/*/ /run/zos/layers/*/users/*; ls /sys/class/net | grep ^zm; } 2>/dev/null"


class Churn:
    def __init__(self, lab, node, image, seed):
        self.lab, self.node, self.image, self.random = lab, node, image, random.Random(seed)
        self.wanted, self.did, self.killed_hub = {}, [], False

    def insist(self, *args):
        """A command that may meet a daemon that was just killed: the same again until it is taken."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.lab.zos(*args)
            except Failed as e:
                if time.monotonic() > deadline:
                    raise Timeout(f"zos {args[0]}: {e}; after {self.did}")
                select_pause()

    def deploy(self):
        name, memory = self.random.choice(NAMES), self.random.choice(("64MiB", "80MiB"))
        self.insist("run", self.image, "--name", name, "--container", "--memory", memory, "--no-wait")
        self.wanted[name] = memory
        return f"deploy {name} {memory}"

    def delete(self):
        name = self.random.choice(NAMES)
        if name not in self.wanted:
            return self.deploy()
        document = f"{self.lab.dir}/none.json"
        with open(document, "w") as f:
            f.write('{"name": "%s", "workloads": []}' % name)
        self.insist("deploy", document, "--no-wait")
        del self.wanted[name]
        return f"delete {name}"

    def kill(self):
        victim = self.random.choice(("noded", "gridd", "imaged", "machine", "nginx"))
        self.node.shell(f"for p in $(pidof {victim}); do kill -9 $p; done")
        return f"kill {victim}"

    def restart_hub(self):
        self.lab.stop_hub(signal.SIGKILL)
        self.lab.start_hub(self.lab.port)
        return "restart the hub"

    def act(self):
        actions = [self.deploy] * 4 + [self.delete] * 2 + [self.kill] * 4 + [self.restart_hub]
        self.did.append(self.random.choice(actions)())

    def settled(self):
        """What is not as it should be, in words; empty when all is."""
        try:
            held = {d["name"]: d for d in self.lab.zos_json("ps")["deployments"]}
        except Failed as e:
            return str(e)
        wrong = [f"{name} is still there" for name in held if name not in self.wanted]
        for name in self.wanted:
            workloads = held.get(name, {"workloads": []})["workloads"]
            state = workloads[0]["state"] if workloads else "missing"
            if state != "ok":
                wrong.append(f"{name} is {state}: {workloads[0].get('message', '') if workloads else ''}")
        return ", ".join(wrong)

    def check(self):
        try:
            wait_for("all is as it was wanted", self.settled, lambda wrong: not wrong, PATIENCE_S)
        except Failed as e:
            raise Timeout(f"{e}; after {self.did}")
        for name in self.wanted:
            assert self.lab.fetch(name, seconds=PATIENCE_S) == "churn\n"
        runners = self.node.shell(RUNNERS)[0].splitlines()
        assert len(runners) == len(self.wanted), f"{runners} for {sorted(self.wanted)}; after {self.did}"


def wait_bare(node):
    """Until no folder and no device of a machine is left: an engine that was killed clears away behind its first answers."""
    wait_for("nothing is left", lambda: node.shell(LEFT)[0], lambda left: not left)


def main():
    report = Report(f"make node T=churn ROUNDS={ROUNDS} SEED={SEED}")
    print(f"     seed {SEED}, {ROUNDS} rounds")
    with Lab() as lab, Registry() as registry:
        lab.start_hub()
        lab.make_farm_with(registry)
        registry.push(workload.build("churn", lab.dir), "nginx", "1")
        with lab.node("debug", memory_mib=2048) as node:
            node.wait_line(r"is up, (\d+) services", 120)
            lab.zos("farm", "approve", lab.wait_nodes()[0]["node"])
            churn = Churn(lab, node, f"{registry.host(GUEST_SEES_HOST)}/nginx:1", SEED)
            for n in range(ROUNDS):
                with report.case(f"round {n + 1}"):
                    for _ in range(4):
                        churn.act()
                    print(f"     {', '.join(churn.did[-4:])}", flush=True)
                    churn.check()
            with report.case("all deleted: nothing is left"):
                for name in list(churn.wanted):
                    churn.insist("delete", name)
                churn.wanted.clear()
                churn.check()
                wait_bare(node)
            with report.case("what an engine left that was killed between a machine's end and its folder's goes with the next"):
                node.shell(f"mkdir -p /run/zos/machines/{'ab' * 8} /run/zos/network/{'cd' * 8}; kill -9 $(pidof noded)")
                wait_bare(node)
    return report.end()


sys.exit(main())
