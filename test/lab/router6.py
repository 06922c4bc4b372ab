"""A router of IPv6 that is asked: its advertisement, by which a node takes a prefix, name servers and the way out, and the answers of DHCPv6 (RFC 4861, 8106, 8415)."""
import socket, struct

from wire import OUR_IP6, OUR_MAC, ipv6, with_sum

PREFIX = "2001:db8:77::"
RDNSS, DNS, ADDRESS = PREFIX + "53", PREFIX + "54", PREFIX + "abc"  # a name server each of both ways, and the address that DHCPv6 gives
ALL_NODES = "ff02::1"


def packed(text):
    return socket.inet_pton(socket.AF_INET6, text)


def advertisement(frame):
    """To whoever solicits one: DHCPv6 besides (M, O), half an hour the way out."""
    to, mac = (frame[22:38], frame[6:12]) if any(frame[22:38]) else (packed(ALL_NODES), bytes.fromhex("333300000001"))
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xc0, 7200, 3600, 0) + packed(PREFIX)
    servers = struct.pack("!BBHI", 25, 3, 0, 1800) + packed(RDNSS)
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0xc0, 1800, 0, 0) + b"\1\1" + OUR_MAC + prefix + servers
    return mac + OUR_MAC + b"\x86\xdd" + ipv6(58, with_sum(to, 58, body, 2), to, hops=255)


def options_of(data):
    found, at = {}, 0
    while at + 4 <= len(data):
        kind, n = struct.unpack("!HH", data[at:at + 4])
        found[kind] = data[at + 4:at + 4 + n]
        at += 4 + n
    return found


def option(kind, data):
    return struct.pack("!HH", kind, len(data)) + data


def dhcp6(frame):
    """SOLICIT gets an offer, REQUEST and its like the address; what was not asked for is not told."""
    message, asked = frame[62:], options_of(frame[66:])
    if message[0] not in (1, 3, 5, 6) or 1 not in asked or 3 not in asked:
        return None
    address = option(5, packed(ADDRESS) + struct.pack("!II", 3600, 7200))
    body = bytes([2 if message[0] == 1 else 7]) + message[1:4] + option(1, asked[1]) + option(2, b"\0\3\0\1" + OUR_MAC) + \
        option(3, asked[3][:4] + struct.pack("!II", 1800, 2880) + address)
    if b"\0\x17" in [asked.get(6, b"")[i:i + 2] for i in range(0, len(asked.get(6, b"")), 2)]:
        body += option(23, packed(DNS))
    data = with_sum(frame[22:38], 17, struct.pack("!HHHH", 547, 546, 8 + len(body), 0) + body, 6)
    return frame[6:12] + OUR_MAC + b"\x86\xdd" + ipv6(17, data, frame[22:38])


def solicitation(frame):
    """Who the router is, for who has its address only."""
    if frame[62:78] != OUR_IP6:
        return None
    body = struct.pack("!BBHI", 136, 0, 0, 0xe0000000) + OUR_IP6 + b"\2\1" + OUR_MAC
    return frame[6:12] + OUR_MAC + b"\x86\xdd" + ipv6(58, with_sum(frame[22:38], 58, body, 2), frame[22:38], hops=255)


def answer(frame):
    """The frame that answers FRAME, or None."""
    if frame[12:14] != b"\x86\xdd":
        return None
    if frame[20] == 58 and frame[54] == 133:
        return advertisement(frame)
    if frame[20] == 58 and frame[54] == 135 and any(frame[22:38]):
        return solicitation(frame)
    if frame[20] == 17 and frame[56:58] == b"\x02\x23":
        return dhcp6(frame)
    return None
