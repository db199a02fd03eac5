"""ask.py ADDRESS PORT CONNECTIONS BYTES: asks serve.py for a byte on so many connections, one after the other, and then for so many bytes
on one. Prints as JSON how many seconds each of the connections took, from before it was made until its byte was there, and how many the
bytes took."""
import json
import socket
import sys
import time

address, port, connections, volume = sys.argv[1], *map(int, sys.argv[2:])
room = bytearray(1 << 20)


def took(wanted):
    begin = time.monotonic()
    with socket.create_connection((address, port), 10) as stream:
        stream.sendall(b"%d\n" % wanted)
        left = wanted
        while left > 0:
            came = stream.recv_into(room)
            if came == 0:
                sys.exit(f"the end came {left} bytes early")
            left -= came
    return time.monotonic() - begin


took(1)
print(json.dumps({"connections": [took(1) for _ in range(connections)], "volume": took(volume)}))
