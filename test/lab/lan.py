"""A cable between nodes, each of whose second card is on it, through QEMU's stream netdev: passes frames on, keeps them, and gives out addresses. And
a computer on it that is no node, and a router between two: network namespaces with taps."""
import fcntl, os, select, socket, struct, threading, time

from place import Place
from qemu import Timeout
from wire import OUR_IP, OUR_MAC, ipv4, with_sum


class Tap:
    """A card called NAME in PLACE, with what a socket of QEMU's has: each frame behind its length."""

    def __init__(self, place, name="lan0"):
        self.name = name
        self.fd = place.made(self.make)

    def make(self):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", self.name.encode(), 0x1002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
        return fd

    def fileno(self):
        return self.fd

    def recv(self, n):
        frame = os.read(self.fd, n)
        return struct.pack("!I", len(frame)) + frame

    def sendall(self, data):
        os.write(self.fd, data[4:])

    def close(self):
        os.close(self.fd)


class Computer(Place):
    """On LAN at the place NUMBER, with the address of it; run() runs a program there."""

    def __init__(self, lan, number):
        self.lan, self.number = lan, number

    def __enter__(self):
        super().__enter__()
        self.lan.plug(self.number, Tap(self))
        self.ip("addr", "add", f"{Lan.ip(self.number)}/24", "dev", "lan0")
        self.ip("link", "set", "lan0", "up")
        return self


class Router(Place):
    """Between LAN and OUTSIDE, at the place NUMBER of the latter: those on LAN reach what is outside as if it were beside them, and nobody comes in who was not
    asked for. Each of their flows has a port of its own there, which nobody can guess."""

    def __init__(self, lan, outside, number):
        self.lan, self.outside, self.number = lan, outside, number

    def __enter__(self):
        super().__enter__()
        for lan, name in ((self.lan, "in0"), (self.outside, "out0")):
            lan.plug(self.number, Tap(self, name))
            self.ip("link", "set", name, "up")
        self.ip("addr", "add", f"{Lan.ip(self.number)}/24", "dev", "out0")
        self.set("ipv4/ip_forward", 1)
        self.set("ipv4/conf/in0/proxy_arp", 1)
        self.set("ipv4/neigh/in0/proxy_delay", 0)
        self.nft("""table ip nat {
            chain post {
                type nat hook postrouting priority srcnat
                oifname "out0" masquerade fully-random
            }
            chain in {
                type filter hook forward priority filter; policy drop
                iifname "in0" accept
                ct state established accept
            }
        }
        """)
        return self

    def move(self, number):
        """To another place outside: what it knew of flows is void, as it is when a provider gives it another address."""
        self.ip("addr", "del", f"{Lan.ip(self.number)}/24", "dev", "out0")
        self.ip("addr", "add", f"{Lan.ip(number)}/24", "dev", "out0")
        self.number = number

    def knows(self, number):
        """Who is at the place NUMBER is on LAN."""
        self.ip("route", "replace", f"{Lan.ip(number)}/32", "dev", "in0")


class Lan:
    """QEMU arguments for the port N in args(N); connect(N) once that QEMU runs, again for each that comes after it."""

    def __init__(self, directory):
        self.directory = directory
        self.ports = {}    # socket -> (number, what came of a frame so far)
        self.frames = []   # all that passed, as it was
        self.lock = threading.Lock()
        self.wake, self.ear = socket.socketpair()
        self.has_ended = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.has_ended = True
        self.wake.send(b"x")
        self.thread.join(10)
        for s in [*self.ports, self.wake, self.ear]:
            s.close()

    @staticmethod
    def mac(number):
        return bytes.fromhex("0252544e01") + bytes([number])

    @staticmethod
    def ip(number):
        return f"192.0.2.{50 + number}"

    def path(self, number):
        return f"{self.directory}/lan{number}"

    def args(self, number, name="lan"):
        """NAME: QEMU's, of which each of a node's cards on this cable has its own. Without a speed a card is of no use to LACP."""
        return ["-netdev", f"stream,id={name},server=on,addr.type=unix,addr.path={self.path(number)}",
                "-device", f"virtio-net-pci,netdev={name},mac={self.mac(number).hex(':')},romfile=,speed=1000,duplex=full"]

    def connect(self, number, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(self.path(number))
                break
            except OSError:
                s.close()
                if time.monotonic() > deadline:
                    raise Timeout("QEMU did not open its network socket")
                select.select([], [], [], 0.02)
        self.plug(number, s)

    def plug(self, number, s):
        with self.lock:
            self.ports[s] = (number, b"")
        self.wake.send(b"x")

    def run(self):
        while not self.has_ended:
            with self.lock:
                listening = [self.ear, *self.ports]
            for s in select.select(listening, [], [])[0]:
                if s is self.ear:
                    s.recv(64)
                else:
                    self.read(s)

    def read(self, s):
        number, before = self.ports[s]
        try:
            data = s.recv(262144)
        except OSError:
            data = b""
        if not data:  # that node has ended
            with self.lock:
                del self.ports[s]
            return s.close()
        data = before + data
        while len(data) >= 4 and len(data) >= 4 + (n := struct.unpack("!I", data[:4])[0]):
            self.take(s, number, data[4:4 + n])
            data = data[4 + n:]
        self.ports[s] = (number, data)

    def take(self, s, number, frame):
        with self.lock:
            self.frames.append(frame)
            others = [o for o in self.ports if o is not s]
        if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[34:38] == struct.pack("!HH", 68, 67):
            return self.dhcp(s, number, frame[42:])
        for o in others:
            self.send(o, frame)

    def send(self, s, frame):
        try:
            s.sendall(struct.pack("!I", len(frame)) + frame)
        except OSError:
            pass  # it is about to be found ended

    def dhcp(self, s, number, p):
        options, at, message = p[240:], 0, 0
        while at < len(options) and options[at] != 255:
            if options[at] == 53:
                message = options[at + 2]
            at += 1 if options[at] == 0 else 2 + options[at + 1]
        if message not in (1, 3):
            return
        ip = socket.inet_aton(self.ip(number))
        answer = bytes([53, 1, 2 if message == 1 else 5, 54, 4]) + OUR_IP + bytes([51, 4]) + struct.pack("!I", 36000) + bytes([1, 4, 255, 255, 255, 0, 255])
        body = b"\2" + p[1:16] + ip + OUR_IP + p[24:44] + b"\0" * 192 + p[236:240] + answer
        data = struct.pack("!HHHH", 67, 68, 8 + len(body), 0) + body
        self.send(s, b"\xff" * 6 + OUR_MAC + b"\x08\x00" + ipv4(17, data, target=b"\xff" * 4))

    def wireguard(self, kind, since=0):
        """How many of the frames since SINCE are WireGuard's messages of KIND: 1 asks for a handshake, 4 carries data."""
        with self.lock:
            return sum(f[12:14] == b"\x08\x00" and f[23] == 17 and f[42:46] == bytes([kind, 0, 0, 0]) for f in self.frames[since:])

    def tell(self, number, port, payload):
        """A datagram of ours, who are no node, to the node at NUMBER."""
        target = socket.inet_aton(self.ip(number))
        data = with_sum(target, 17, struct.pack("!HHHH", 40000, port, 8 + len(payload), 0) + payload, 6)
        with self.lock:
            s = next(s for s, (n, _) in self.ports.items() if n == number)
        self.send(s, self.mac(number) + OUR_MAC + b"\x08\x00" + ipv4(17, data, target=target))

    def asked_for_us(self, since):
        """Frames since SINCE that are for us, or ask who we are: a node that wanted to answer would."""
        with self.lock:
            return [f for f in self.frames[since:] if f[:6] == OUR_MAC or (f[12:14] == b"\x08\x06" and f[38:42] == OUR_IP)]
