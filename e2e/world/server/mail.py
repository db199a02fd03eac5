"""mail.py CERTIFICATES NAME=ADDRESS...: takes mail on port 25 of these addresses, after STARTTLS or without, keeps none of it, and
answers with the SHA-256 of what it took."""
import asyncio
import hashlib
import ssl
import sys

from aiosmtpd.smtp import SMTP

from hosts import PORTS


class Digest:
    async def handle_DATA(self, server, session, envelope):
        return f"250 2.0.0 {hashlib.sha256(envelope.content).hexdigest()}"


async def main():
    loop = asyncio.get_running_loop()
    servers = []
    for place in sys.argv[2:]:
        name, address = place.split("=")
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(f"{sys.argv[1]}/{name}.pem", f"{sys.argv[1]}/{name}.key")

        def session(name=name, tls=tls):
            return SMTP(Digest(), hostname=name, tls_context=tls, loop=loop)

        servers.append(await loop.create_server(session, address, PORTS["smtp"]))
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
