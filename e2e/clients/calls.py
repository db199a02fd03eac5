"""calls.py HOST:PORT [AUTHORITY]: gRPC calls with 256 KiB, one that is answered with its SHA-256 and one with all of it again."""
import hashlib
import pathlib
import random
import sys
import time

import grpc

SERVICE = "/shekara.test.Bytes"


def main(target, authority=None):
    sent = random.Random(1).randbytes(1 << 18)
    if authority:
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(pathlib.Path(authority).read_bytes()))
    else:
        channel = grpc.insecure_channel(target)
    with channel:
        print(channel.unary_unary(f"{SERVICE}/Digest")(sent, timeout=10).decode())
        again = hashlib.sha256()
        for piece in channel.unary_stream(f"{SERVICE}/Repeat")(sent, timeout=10):
            again.update(piece)
        print(again.hexdigest())


begin = time.monotonic()
try:
    main(*sys.argv[1:])
except grpc.RpcError as error:
    sys.exit(f"{error.code()}: {error.details()}")
finally:
    print("took", time.monotonic() - begin, file=sys.stderr)
