"""proxy.py FILE ADDRESS...: an HTTP proxy on port 8888 of these addresses, to the declared hosts of FILE and to nobody else."""
import asyncio
import sys
from functools import partial
from urllib.parse import urlsplit

import hosts

LONGEST_HEAD = 16 * 1024


def target(head):
    """Host and port that a request asks for: by CONNECT (RFC 9110, section 9.3.6), or by an absolute URL."""
    method, url, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    parts = urlsplit("//" + url if method == "CONNECT" else url)
    return method, parts.hostname, parts.port or 80


async def serve(world, reader, writer):
    there = None
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        method, name, port = target(head)
        host = next((host for host in world.hosts if host.addresses and name in world.names(host)), None)
        if host is None:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        back, there = await asyncio.open_connection(str(host.addresses[0]), port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            # servers take absolute URLs too (RFC 9112, section 3.2.2)
            there.write(head)
        await asyncio.gather(pass_on(reader, there), pass_on(back, writer))
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        pass
    finally:
        for end in (writer, there):
            if end is not None:
                end.close()


async def pass_on(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def main():
    world = hosts.read(sys.argv[1])
    servers = []
    for address in sys.argv[2:]:
        servers.append(await asyncio.start_server(partial(serve, world), address, hosts.PORTS["proxy"], limit=LONGEST_HEAD))
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
