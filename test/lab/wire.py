"""The other end of a node's network cable: Ethernet frames through QEMU's stream netdev, no namespace and no tap needed.

Hands out one address by DHCP, answers ARP and neighbour solicitations for itself, and tells what the node sends to it."""
import select, socket, struct, time

from qemu import Timeout

OUR_MAC, NODE_MAC = bytes.fromhex("0252544e0001"), bytes.fromhex("0252544e0002")
OUR_IP, NODE_IP = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 50])
OUR_IP6 = socket.inet_pton(socket.AF_INET6, "fe80::1")


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(protocol, payload, source=OUR_IP, target=NODE_IP):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, source, target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(protocol, payload, target, hops=64):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, hops, OUR_IP6, target) + payload


def with_sum(target, protocol, payload, at):
    """PAYLOAD for TARGET (4 or 16 bytes) with its transport check sum written at offset AT."""
    a, b = (OUR_IP if len(target) == 4 else OUR_IP6), target
    value = checksum(a + b + struct.pack("!II", len(payload), protocol) + payload)
    return payload[:at] + struct.pack("!H", value) + payload[at + 2:]


def syn(target, port):
    return with_sum(target, 6, struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 0x50, 2, 65535, 0, 0), 16)


def datagram(target, port):
    return with_sum(target, 17, struct.pack("!HHHH", 40000, port, 12, 0) + b"test", 6)


class Wire:
    """QEMU arguments in .args; connect() once QEMU runs."""

    def __init__(self, path):
        self.path, self.sock, self.buffer = path, None, b""
        self.args = ["-netdev", f"stream,id=lan,server=on,addr.type=unix,addr.path={path}",
                     "-device", f"virtio-net-pci,netdev=lan,mac={NODE_MAC.hex(':')},romfile="]
        self.leased, self.alive4, self.alive6, self.told = False, False, False, []
        self.node_ip6 = None  # its link-local address, learnt from what it sends

    def connect(self, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.connect(self.path)
                return
            except OSError:
                self.sock.close()
                if time.monotonic() > deadline:
                    raise Timeout("QEMU did not open its network socket")
                select.select([], [], [], 0.02)

    def close(self):
        if self.sock:
            self.sock.close()

    def send(self, kind, payload, target=NODE_MAC):
        frame = target + OUR_MAC + struct.pack("!H", kind) + payload
        self.sock.sendall(struct.pack("!I", len(frame)) + frame)

    def run(self, until, seconds):
        """Takes frames until UNTIL() or SECONDS have passed; says whether it was UNTIL."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return False
            self.buffer += self.sock.recv(262144)
            while len(self.buffer) >= 4 and len(self.buffer) >= 4 + (n := struct.unpack("!I", self.buffer[:4])[0]):
                self.take(self.buffer[4:4 + n])
                self.buffer = self.buffer[4 + n:]
        return True

    def take(self, frame):
        kind, payload = struct.unpack("!H", frame[12:14])[0], frame[14:]
        {0x0806: self.arp, 0x0800: self.ip4, 0x86dd: self.ip6}.get(kind, lambda _: None)(payload)

    def arp(self, p):
        operation, sender, target = struct.unpack("!H", p[6:8])[0], p[14:18], p[24:28]
        if operation == 1 and target == OUR_IP:
            self.send(0x0806, p[:6] + struct.pack("!H", 2) + OUR_MAC + OUR_IP + p[8:18], p[8:14])
        self.alive4 |= operation == 2 and sender == NODE_IP

    def ip4(self, p):
        if p[9] == 17 and p[20:24] == struct.pack("!HH", 68, 67):
            self.dhcp(p[28:])
        elif p[16:20] == OUR_IP:
            self.told.append(("ipv4", p[9], p[20:]))

    def ip6(self, p):
        if p[8:10] == b"\xfe\x80":
            self.node_ip6 = p[8:24]
        if p[6] == 58 and p[40] == 135 and p[48:64] == OUR_IP6:  # asks for us
            body = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + OUR_IP6 + b"\2\1" + OUR_MAC
            self.send(0x86dd, ipv6(58, with_sum(p[8:24], 58, body, 2), p[8:24], 255))
        elif p[6] == 58 and p[40] == 136 and p[8:24] == self.node_ip6:
            self.alive6 = True
        elif p[24:40] == OUR_IP6 and not (p[6] == 58 and 133 <= p[40] <= 137):
            self.told.append(("ipv6", p[6], p[40:]))

    def dhcp(self, p):
        options, at, message = p[240:], 0, 0
        while at < len(options) and options[at] != 255:
            if options[at] == 53:
                message = options[at + 2]
            at += 1 if options[at] == 0 else 2 + options[at + 1]
        if message not in (1, 3):
            return
        answer = bytes([53, 1, 2 if message == 1 else 5, 54, 4]) + OUR_IP + bytes([51, 4]) + struct.pack("!I", 3600) + \
            bytes([1, 4, 255, 255, 255, 0, 255])
        body = b"\2" + p[1:16] + NODE_IP + OUR_IP + p[24:44] + b"\0" * 192 + p[236:240] + answer
        data = struct.pack("!HHHH", 67, 68, 8 + len(body), 0) + body
        self.send(0x0800, ipv4(17, data, target=b"\xff" * 4), b"\xff" * 6)
        self.leased |= message == 3

    def ask_whether_alive(self, seconds=10):
        """ARP and neighbour discovery, which an address must answer: the frames do arrive. Asks again each second."""
        for _ in range(seconds):
            self.send(0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + OUR_MAC + OUR_IP + b"\0" * 6 + NODE_IP, b"\xff" * 6)
            if self.node_ip6:
                body = struct.pack("!BBHI", 135, 0, 0, 0) + self.node_ip6 + b"\1\1" + OUR_MAC
                self.send(0x86dd, ipv6(58, with_sum(self.node_ip6, 58, body, 2), self.node_ip6, 255))
            if self.run(lambda: self.alive4 and self.alive6, 1):
                return True
        return False

    def scan(self, kind, ports, settle=3):
        """What the node said to us after a packet to each of PORTS. KIND: (ip version, "tcp" or "udp")."""
        version, protocol = kind
        del self.told[:]
        for i, port in enumerate(ports):
            target = NODE_IP if version == 4 else self.node_ip6
            transport = syn(target, port) if protocol == "tcp" else datagram(target, port)
            number = 6 if protocol == "tcp" else 17
            self.send(0x0800 if version == 4 else 0x86dd,
                      ipv4(number, transport) if version == 4 else ipv6(number, transport, target))
            if i % 64 == 0:
                self.run(lambda: False, 0.001)
        self.run(lambda: self.told, settle)
        return list(self.told)
