"""echo.py ADDRESS...: answers what it is sent, over TCP and UDP, on port 7 of these addresses."""
import asyncio
import sys

from hosts import PORTS


async def answer(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.transport.sendto(data, peer)


async def main():
    loop = asyncio.get_running_loop()
    servers = []
    for address in sys.argv[1:]:
        await loop.create_datagram_endpoint(Datagrams, local_addr=(address, PORTS["echo"]))
        servers.append(await asyncio.start_server(answer, address, PORTS["echo"]))
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
