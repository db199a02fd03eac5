"""restless.py V4 V6 NAME RESOLVER [SECONDS]: an application that tries the plain ways out from its first moment on, over and over, until
so many seconds are over or somebody ends it: TCP, UDP and ICMP to addresses where nobody is, and questions for a name that nobody lists,
to the cluster's resolver and to another one. It needs nothing but Python's standard library.
"""
import re
import select
import socket
import struct
import sys
import time

PATIENCE = 0.2  # seconds that a try waits
PAUSE = 0.3  # seconds between two rounds
DATA = b"GET / HTTP/1.1\r\nHost: restless.example.com\r\n\r\n"


def by_tcp(family, address, port, data=DATA):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(PATIENCE)
        s.connect((address, port))
        s.sendall(data)
        s.recv(64)


def by_udp(family, address, port, data=DATA):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.sendto(data, (address, port))


def by_icmp(family, address, protocol, kind):
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as s:
        s.sendto(struct.pack("!BBHHH", kind, 0, 0, 0, 1), (address, 0))


def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 0x7265, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


def tries(v4, v6, name, resolver):
    four, six = socket.AF_INET, socket.AF_INET6
    asked = question(name)
    with open("/etc/resolv.conf", encoding="ascii") as file:
        own = re.search(r"^nameserver (\S+)", file.read(), re.MULTILINE)[1]
    return [
        (by_udp, four, v4, 9),
        (by_udp, six, v6, 9),
        (by_icmp, four, v4, socket.IPPROTO_ICMP, 8),
        (by_icmp, six, v6, socket.IPPROTO_ICMPV6, 128),
        (by_udp, four, resolver, 53, asked),
        (by_udp, six if ":" in own else four, own, 53, asked),
        (by_tcp, four, v4, 80),
        (by_tcp, six, v6, 443),
        (by_tcp, four, resolver, 53, struct.pack("!H", len(asked)) + asked),
    ]


def main():
    ways = tries(*sys.argv[1:5])
    end = time.monotonic() + float(sys.argv[5]) if len(sys.argv) > 5 else float("inf")
    while time.monotonic() < end:
        for way, *arguments in ways:
            try:
                way(*arguments)
            except OSError:
                pass  # what came of it is seen where it would arrive
        select.select([], [], [], PAUSE)


main()
