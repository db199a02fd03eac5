"""websocket.py URL [AUTHORITY]: a WebSocket that sends 16 messages of 16 KiB and gets each back; prints the SHA-256 of them all."""
import asyncio
import hashlib
import random
import ssl
import sys
import time

import websockets


async def main(url, authority=None):
    tls = ssl.create_default_context(cafile=authority) if authority else None
    bytes_of, seen = random.Random(1), hashlib.sha256()
    async with websockets.connect(url, ssl=tls, open_timeout=10, max_size=None) as socket:
        for _ in range(16):
            await socket.send(bytes_of.randbytes(16384))
            seen.update(await socket.recv())
    print(seen.hexdigest())


begin = time.monotonic()
try:
    asyncio.run(main(*sys.argv[1:]))
except (OSError, asyncio.TimeoutError, websockets.WebSocketException) as error:
    sys.exit(f"{type(error).__name__}: {error}")
finally:
    print("took", time.monotonic() - begin, file=sys.stderr)
