"""What a packet says: addresses, protocol, ports, and the name in a DNS question. Pure functions of bytes."""
import functools
import ipaddress
import struct
from typing import NamedTuple

TCP, UDP = 6, 17
PROTOCOLS = {1: "icmp", TCP: "tcp", UDP: "udp", 58: "icmpv6", 132: "sctp"}
WITH_PORTS = {TCP, UDP, 132, 136}

# extension headers of IPv6 before the transport's: hop-by-hop, routing, destination options; a fragment's is of its own form
EXTENSIONS = {0, 43, 60}
FRAGMENT = 44

SYN, ACK = 0x02, 0x10
DNS_PORT = 53


class Packet(NamedTuple):
    """A packet that arrived. Addresses are in their canonical text."""

    source: str
    destination: str
    protocol: str
    length: int
    source_port: int | None
    port: int | None
    syn: bool  # the first packet of a TCP connection
    name: str | None  # in the DNS question


def parse(data, length):
    """The packet in these bytes, which may be cut short; its whole length is said beside. None if it is no IP packet."""
    try:
        version = data[0] >> 4
        if version == 4:
            return parse_v4(data, length)
        if version == 6:
            return parse_v6(data, length)
    except (IndexError, struct.error):
        pass
    return None


def parse_v4(data, length):
    number = data[9]
    first_fragment = struct.unpack_from("!H", data, 6)[0] & 0x1FFF == 0
    payload = data[(data[0] & 0x0F) * 4 :] if first_fragment else b""
    return transport(data[12:16], data[16:20], number, payload, length)


def parse_v6(data, length):
    number, position = data[6], 40
    while number in EXTENSIONS or number == FRAGMENT:
        following = data[position]
        if number == FRAGMENT:
            if struct.unpack_from("!H", data, position + 2)[0] & 0xFFF8:
                return transport(data[8:24], data[24:40], following, b"", length)
            position += 8
        else:
            position += (data[position + 1] + 1) * 8
        number = following
    return transport(data[8:24], data[24:40], number, data[position:], length)


def transport(source, destination, number, payload, length):
    source_port = port = None
    if number in WITH_PORTS and len(payload) >= 4:
        source_port, port = struct.unpack_from("!HH", payload)
    syn = number == TCP and len(payload) >= 14 and payload[13] & (SYN | ACK) == SYN
    name = question(number, payload) if port == DNS_PORT else None
    return Packet(text(bytes(source)), text(bytes(destination)), PROTOCOLS.get(number, str(number)), length, source_port, port, syn, name)


@functools.lru_cache(maxsize=10_000)
def text(address):
    return str(ipaddress.ip_address(address))


def question(number, payload):
    """The name in the DNS question of a datagram or a segment, if there is one."""
    if number == UDP:
        return name_of(payload[8:])
    if number == TCP and len(payload) >= 20:
        data = payload[(payload[12] >> 4) * 4 :]
        # a message follows its length; a client may send the length by itself
        return name_of(data[2:]) or name_of(data)
    return None


def name_of(message):
    """The name of the only question of a DNS query, in lower case, without the last dot. The root's is a dot."""
    if len(message) < 17:
        return None
    _, flags, questions = struct.unpack_from("!HHH", message)
    if flags & 0x8000 or questions != 1:
        return None
    labels, position = [], 12
    while position < len(message):
        size = message[position]
        if size == 0:
            return (b".".join(labels) or b".").decode("ascii", "backslashreplace").lower()
        if size > 63 or position + 1 + size > len(message):
            return None
        labels.append(bytes(message[position + 1 : position + 1 + size]))
        position += 1 + size
    return None
