"""sniffer.py ADDRESS PORT: sees every packet that arrives for an address for documentation, and answers over HTTP what it saw.

GET /health    ok
GET /clock     the time now, in seconds, by the clock that packets are stamped with
GET /packets   a JSON list; parameters source, destination, protocol, name, since narrow it. 503 where packets are missing.
"""
import functools
import http.server
import ipaddress
import json
import os
import select
import socket
import struct
import sys
import threading
import time
import urllib.parse

from hosts import NETWORKS
from memory import Incomplete, Memory
from packets import parse

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
BUFFER = 64 * 1024 * 1024  # of packets that arrive faster than they are read
CATCH_UP = 5.0  # seconds that a question waits until everything before it has been read


class Reader:
    """Reads packets from all links into the memory."""

    def __init__(self, memory):
        self.memory = memory
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.socket.setblocking(False)
        self.wake, self.waker = os.pipe()
        self.read_until = 0.0
        self.progress = threading.Condition()

    def run(self):
        while True:
            before = time.monotonic()
            try:
                self.read_one()
            except BlockingIOError:
                with self.progress:
                    self.read_until = before
                    self.progress.notify_all()
                ready, _, _ = select.select([self.socket, self.wake], [], [])
                if self.wake in ready:
                    os.read(self.wake, 4096)

    def read_one(self):
        data, ancillary, _, (link, _, kind, *_) = self.socket.recvmsg(2048, 64, socket.MSG_TRUNC)
        if link == "lo" or kind == socket.PACKET_OUTGOING:
            return
        packet = parse(data, length_of(data))
        if packet is not None and is_for_documentation(packet.destination):
            self.memory.add(timestamp(ancillary), packet)

    def catch_up(self):
        """Waits until everything that had arrived before this call has been read."""
        now = time.monotonic()
        os.write(self.waker, b"x")
        with self.progress:
            if not self.progress.wait_for(lambda: self.read_until >= now, CATCH_UP):
                raise Incomplete("more packets arrive than can be read")
        _, dropped = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        if dropped:
            self.memory.lose(time.time())


def length_of(data):
    """The packet's own word for its length, since it was cut short here."""
    if len(data) >= 40 and data[0] >> 4 == 6:
        return 40 + struct.unpack_from("!H", data, 4)[0]
    return struct.unpack_from("!H", data, 2)[0] if len(data) >= 20 else len(data)


def timestamp(ancillary):
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("@ll", data[:16])
            return seconds + nanoseconds / 1e9
    return time.time()


@functools.lru_cache(maxsize=10_000)
def is_for_documentation(address):
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in NETWORKS)


def filter_of(parameters):
    """The time and the test that the parameters of a question ask for; ValueError for what is not understood."""
    since = float(parameters.pop("since", "0"))
    wanted = {}
    for name, text in parameters.items():
        if name in ("source", "destination"):
            wanted[name] = str(ipaddress.ip_address(text))
        elif name == "protocol":
            wanted[name] = text.lower()
        elif name == "name":
            wanted[name] = text.lower().rstrip(".") or "."
        else:
            raise ValueError(f"there is no parameter {name}")
    return since, lambda packet: all(getattr(packet, name) == value for name, value in wanted.items())


class Handler(http.server.BaseHTTPRequestHandler):
    reader = None

    def do_GET(self):  # the name is the library's
        path = urllib.parse.urlsplit(self.path)
        try:
            if path.path == "/health":
                self.say(200, "text/plain", "ok\n")
            elif path.path == "/clock":
                self.say(200, "application/json", json.dumps(time.time()))
            elif path.path == "/packets":
                parameters = dict(urllib.parse.parse_qsl(path.query, keep_blank_values=True, strict_parsing=bool(path.query)))
                since, matches = filter_of(parameters)
                self.reader.catch_up()
                found = self.reader.memory.find(since, matches)
                self.say(200, "application/json", json.dumps([{"time": at, **packet._asdict()} for at, packet in found]))
            else:
                self.say(404, "text/plain", f"there is no {path.path}\n")
        except ValueError as error:
            self.say(400, "text/plain", f"{error}\n")
        except Incomplete as error:
            self.say(503, "text/plain", f"{error}\n")

    def say(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        try:
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            pass  # whoever asked has gone

    def log_message(self, *_):
        pass


def main():
    Handler.reader = Reader(Memory())
    server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # when reading fails, so does the process, and with it the world
    Handler.reader.run()


main()
