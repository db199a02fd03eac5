"""serve.py PORT: sends as many bytes as each line that it reads says, until the client has no more lines."""
import socketserver
import sys

BLOCK = memoryview(bytes(1 << 20))


class Sender(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        for line in self.rfile:
            left = int(line)
            while left > 0:
                piece = BLOCK[: min(left, len(BLOCK))]
                self.request.sendall(piece)
                left -= len(piece)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


with Server(("", int(sys.argv[1])), Sender) as server:
    server.serve_forever()
