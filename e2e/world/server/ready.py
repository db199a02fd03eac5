"""ready.py SECONDS: waits until every server of every declared host answers on each of its addresses; names those that do not."""
import pathlib
import socket
import ssl
import struct
import sys
import time

import behind
import hosts

AUTHORITY = "/authority/ca.pem"
ANSWER = 2  # seconds that a server may take


def main():
    world = hosts.read(pathlib.Path(__file__).parent.parent / "hosts.yaml")
    waiting = [
        (f"{host.name} {service} at {address}", PROBES[service], (host.name, str(address)))
        for host in world.hosts
        for service in host.serves
        for address in host.addresses
    ]
    waiting += [
        (f"DNS over {kind} at {resolver}: {host.name}", ask, (kind, str(resolver), host.name))
        for resolver in world.resolvers
        for kind in ("UDP", "TCP")
        for host in world.hosts
    ]
    end = time.monotonic() + float(sys.argv[1])
    while waiting := [(*one[:3], error) for one in waiting if (error := problem(*one[:3]))]:
        if time.monotonic() > end:
            sys.exit("\n".join(f"{what}: {error}" for what, _, _, error in waiting))
        time.sleep(0.1)


def problem(_, probe, arguments):
    try:
        probe(*arguments)
    except (OSError, AssertionError) as error:
        return repr(error)
    return None


def connect(address, service):
    return socket.create_connection((address, hosts.PORTS[service]), ANSWER)


def secured(connection, name):
    return ssl.create_default_context(cafile=AUTHORITY).wrap_socket(connection, server_hostname=name)


def expect(connection, sent, begin):
    connection.sendall(sent)
    answer = connection.recv(4096)
    assert answer.startswith(begin), f"answers {answer!r}"


def http(name, address, service="http"):
    with connect(address, service) as connection:
        expect(connection, f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode(), b"HTTP/1.1 200")


def http_alt(name, address):
    http(name, address, "http-alt")


def https(name, address):
    with secured(connect(address, "https"), name) as connection:
        expect(connection, f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode(), b"HTTP/1.1 200")


MQTT_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x05\x00\x05ready"


def mqtt(_, address):
    with connect(address, "mqtt") as connection:
        expect(connection, MQTT_CONNECT, b"\x20\x02\x00\x00")


def mqtts(name, address):
    with secured(connect(address, "mqtts"), name) as connection:
        expect(connection, MQTT_CONNECT, b"\x20\x02\x00\x00")


def h2c(_, address, service="h2c"):
    with connect(address, service) as connection:
        # the preface and empty SETTINGS (RFC 9113, section 3.4); the answer begins with SETTINGS, whose type is 4
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        answer = connection.recv(4096)
        assert answer[3:4] == b"\4", f"answers {answer!r}"


def h2c_alt(name, address):
    h2c(name, address, "h2c-alt")


def path(name, address, path, header, more=""):
    """What stands behind a path of the web, by a line of the answer's head."""
    with secured(connect(address, "https"), name) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n{more}\r\n".encode())
        answer = connection.recv(4096)
        assert header in answer.split(b"\r\n"), f"answers {answer!r}"


def files(name, address):
    path(name, address, "/files/data", b"Content-Length: 131072")


def git(name, address):
    refs = "/git/city.git/info/refs?service=git-upload-pack"
    path(name, address, refs, b"Content-Type: application/x-git-upload-pack-advertisement")


UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cmVhZHkgb3Igbm90PyEhIQ==\r\n"
)


def websocket(name, address):
    path(name, address, "/websocket", b"HTTP/1.1 101 Switching Protocols", UPGRADE)


def grpc(*_):
    """Its server is asked where it listens, behind nginx: an answer over HTTP/1 would say nothing about it."""
    socket.create_connection(("127.0.0.1", behind.GRPC), ANSWER).close()


def proxy(name, address):
    with connect(address, "proxy") as connection:
        request = f"GET http://{name}/ HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        expect(connection, request.encode(), b"HTTP/1.1 200")


def mqtt_websocket(name, address):
    path(name, address, "/mqtt", b"HTTP/1.1 101 Switching Protocols", UPGRADE + "Sec-WebSocket-Protocol: mqtt\r\n")


def banner(address, service, begin):
    """A server that speaks first."""
    with connect(address, service) as connection:
        expect(connection, b"", begin)


def ssh(_, address):
    banner(address, "ssh", b"SSH-2.0-")


def smtp(_, address):
    banner(address, "smtp", b"220 ")


def mariadb(_, address):
    with connect(address, "mariadb") as connection:
        answer = connection.recv(4096)
        # behind the packet's header, the version of the protocol
        assert answer[4:5] == b"\x0a", f"says {answer!r}"


def redis(_, address):
    with connect(address, "redis") as connection:
        expect(connection, b"PING\r\n", b"+PONG")


def postgresql(name, address):
    with connect(address, "postgresql") as connection:
        expect(connection, struct.pack("!II", 8, 80877103), b"S")
        with secured(connection, name) as channel:
            parameters = b"user\0reader\0database\0city\0\0"
            # R is the demand for the password
            expect(channel, struct.pack("!II", 8 + len(parameters), 196608) + parameters, b"R")


def echo(_, address):
    with connect(address, "echo") as connection:
        expect(connection, b"ready", b"ready")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(ANSWER)
        datagrams.connect((address, hosts.PORTS["echo"]))
        expect(datagrams, b"ready", b"ready")


def ask(kind, resolver, name):
    """Asks for the type ANY: whatever is there is an answer."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + question + struct.pack("!HH", 255, 1)
    family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER)
        connection.connect((resolver, 53))
        connection.sendall(query if kind == "UDP" else struct.pack("!H", len(query)) + query)
        answer = connection.recv(4096)[0 if kind == "UDP" else 2 :]
    code, answers = struct.unpack_from("!xxxB2xH", answer)
    assert code & 0x0F == 0 and answers > 0, f"answers with code {code & 0x0F} and {answers} records"


PROBES = {
    "http": http, "http-alt": http_alt, "https": https, "h2c": h2c, "h2c-alt": h2c_alt,
    "files": files, "git": git, "websocket": websocket, "mqtt-websocket": mqtt_websocket, "grpc": grpc,
    "proxy": proxy, "mqtt": mqtt, "mqtts": mqtts,
    "postgresql": postgresql, "mariadb": mariadb, "redis": redis, "ssh": ssh, "smtp": smtp, "echo": echo,
}
main()
