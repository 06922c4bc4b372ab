#!/usr/bin/python3
"""`zos hub run --public` as its operator and others see it: test/net/hub.py CASE, inside tools/enter."""
import base64, json, os, signal, socket, ssl, subprocess, sys, time

os.environ["ZOS"] = os.environ.get("ZOS_BUILD", "build/release") + "/zos"
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import cases
from lab import Failed, Lab, free_port, select_pause


def certificate(port, ca):
    """The server's certificate as others see it; raises ssl.SSLError unless CA (its line) signed it for 127.0.0.1."""
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(base64.b64decode(ca)))
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        assert b"INFO" in s.recv(65536)
        with context.wrap_socket(s, server_hostname="127.0.0.1") as t:
            return t.getpeercert()


def public():
    with Lab() as lab, Lab() as other:
        lab.start_hub(public="hub.example")
        hub = json.loads(lab.hub_line)
        assert hub["url"] == f"tls://hub.example:{lab.port}", hub
        first = certificate(lab.port, hub["ca"])
        assert ("DNS", "hub.example") in first["subjectAltName"], first
        secrets = [f"{lab.config}/hub/{n}" for n in ("hub.keys", "hub.pem", "nats.conf")]
        assert [os.stat(p).st_mode & 0o777 for p in secrets] == [0o600] * 3
        here = f"tls://127.0.0.1:{lab.port}"

        print("# both families, where this machine has both")
        for address in ["127.0.0.1", "::1"][:1 + os.path.exists("/proc/net/if_inet6")]:
            with socket.create_connection((address, lab.port), 5) as s:
                assert b"INFO" in s.recv(65536), address

        print("# who names the authority gets on; who does not, does not")
        other.zos("hub", "use", here, hub["key"], hub["ca"])
        assert other.zos_json("node", "list") == []
        other.zos("hub", "use", here, hub["key"])
        try:
            other.zos("node", "list")
            raise AssertionError("a certificate of an authority that nobody named was taken")
        except Failed as e:
            assert "signed by no authority known here" in str(e), e

        print("# a bad certificate is made anew while the hub runs, and the hub takes it up")
        with open(f"{lab.config}/hub/hub.pem", "w") as f:
            f.write("damaged")
        lab.hub.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while certificate(lab.port, hub["ca"])["serialNumber"] == first["serialNumber"]:
            assert time.monotonic() < deadline, "the old certificate is still there"
            select_pause()

        print("# the same hub again: the same authority, the same certificate")
        before = certificate(lab.port, hub["ca"])["serialNumber"]
        lab.stop_hub()
        lab.start_hub(lab.port, public="hub.example")
        assert json.loads(lab.hub_line) == hub
        assert certificate(lab.port, hub["ca"])["serialNumber"] == before


def https():
    """The port that most firewalls let out, in a network of its own: here it may be somebody's already, or root's alone."""
    os.unshare(os.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with Lab() as lab, Lab() as other:
        lab.start_hub(443, public="hub.example")
        hub = json.loads(lab.hub_line)
        assert hub["url"] == "tls://hub.example:443", hub
        assert ("DNS", "hub.example") in certificate(443, hub["ca"])["subjectAltName"]
        other.zos("hub", "use", "tls://127.0.0.1:443", hub["key"], hub["ca"])
        assert other.zos_json("node", "list") == []
        print("# that is the only port others reach it at")
        heard = subprocess.run(["ss", "-Hltn"], check=True, capture_output=True, text=True).stdout
        ports = {line.split()[3] for line in heard.splitlines()}
        assert ports in ({"*:443"}, {"0.0.0.0:443"}, {"[::]:443"}), heard


def lines():
    """What is printed for people is what they can type."""
    with Lab() as lab, Lab() as other:
        port = free_port()
        hub = lab.start_zos("hub", "run", "--public", f"127.0.0.1:{port}", stdout=-1)
        text = ""
        while "farm init NAME" not in text:
            line = hub.stdout.readline()
            assert line, text
            text += line
        use, farm = [l.split()[1:] for l in text.splitlines() if l.startswith("  zos ")]
        other.zos(*use)
        assert other.zos_json("node", "list") == []
        other.zos(*["demo" if w == "NAME" else w for w in farm])
        assert other.zos_json("farm", "show")["hubs"][0]["url"] == f"tls://127.0.0.1:{port}"
        hub.terminate()
        assert hub.wait(20) == 0
        hub.stdout.close()


def cluster():
    """Three servers of one hub, started one after the other: the first waits for the others."""
    with Lab() as one, Lab() as two, Lab() as three, Lab() as other:
        labs = [one, two, three]
        ports, routes = [free_port() for _ in labs], [f"127.0.0.1:{free_port()}" for _ in labs]

        # libnats forgets answers that come while it destroys the connection: those of a cluster that begins to decide at that moment
        forgets = f"{one.dir}/forgets"
        with open(forgets, "w") as f:
            f.write("leak:natsMsg_createWithPadding\n")

        def start(lab, i, peers=",".join(routes)):
            return lab.start_zos("hub", "run", "--public", f"127.0.0.1:{ports[i]}", "--listen", "127.0.0.1", "--cluster", routes[i],
                                 "--peers", peers, "--json", stdout=-1, stderr=-1 if i else None, env={"LSAN_OPTIONS": f"suppressions={forgets}:print_suppressions=0"})
        first = start(one, 0)
        keys = f"{one.config}/hub/hub.keys"
        while not os.path.exists(keys):
            select_pause()
        others = []
        for i in (1, 2):
            os.makedirs(f"{labs[i].config}/hub", 0o700)
            with open(f"{labs[i].config}/hub/hub.keys", "w") as f:
                f.write(open(keys).read())
            others.append(start(labs[i], i))
        hubs = [json.loads(p.stdout.readline()) for p in [first, *others]]
        assert len({h["key"] + h["ca"] for h in hubs}) == 1, hubs
        assert hubs[0]["url"].count("tls://127.0.0.1:") == 3, hubs
        urls = ",".join(f"tls://127.0.0.1:{p}" for p in ports)
        other.zos("hub", "use", urls, hubs[0]["key"], hubs[0]["ca"])
        assert other.zos_json("node", "list") == []
        print("# any of them may go")
        first.terminate()
        assert first.wait(20) == 0
        assert other.zos_json("node", "list", timeout=60) == []
        print("# a cluster of two is refused: it would stop with either of them")
        refused = start(one, 0, ",".join(routes[:2]))
        refused.stdout.read()
        assert refused.wait(20) != 0
        for p in others:
            p.terminate()
            said = p.communicate(timeout=20)[1]
            assert p.returncode == 0, (p.returncode, said)


CASES = {"cluster": cluster, "public": public, "lines": lines, "https": https}
cases.run(CASES)
