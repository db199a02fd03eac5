"""behind.py: what nginx has behind it, on loopback: a WebSocket that echoes, and gRPC calls on bytes (RFC 6455; grpc.io)."""
import asyncio
import hashlib
from concurrent import futures

WEBSOCKET, GRPC = 8765, 50051

PIECE = 64 * 1024


async def echo(socket):
    import websockets

    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass  # clients may go without a word


def digest(request, _):
    """shekara.test.Bytes/Digest: the SHA-256 of what was sent, in hexadecimal digits."""
    return hashlib.sha256(request).hexdigest().encode()


def repeat(request, _):
    """shekara.test.Bytes/Repeat: what was sent, as a stream of pieces."""
    for begin in range(0, len(request), PIECE):
        yield request[begin : begin + PIECE]


async def main():
    # imported here, since the configuration of nginx needs the ports alone
    import grpc
    import websockets

    calls = {"Digest": grpc.unary_unary_rpc_method_handler(digest), "Repeat": grpc.unary_stream_rpc_method_handler(repeat)}
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shekara.test.Bytes", calls),))
    server.add_insecure_port(f"127.0.0.1:{GRPC}")
    server.start()
    async with websockets.serve(echo, "127.0.0.1", WEBSOCKET, max_size=None, ping_interval=None):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
