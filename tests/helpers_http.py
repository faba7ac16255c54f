"""A web server on loopback that misbehaves on request."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FaultyServer:
    """Serves `body`, ranges included, at every path but: /missing (404), /redirect (302 to /file), /broken (500),
    /stall (half, then silence), /trickle (20 kB a second), /cut (hangs up after every quarter), /cut-no-range (hangs
    up after a quarter once, and knows no ranges), /wrong (other bytes of the same length), /long (a byte too many).

    Attributes:
        seen: (path, Range header) of every request so far.
    """

    body: bytes
    url: str = ""
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def count(self, path: str) -> int:
        return sum(p == path for p, _ in self.seen)


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def faulty_server(body: bytes) -> Iterator[FaultyServer]:
    """Runs a FaultyServer in a thread; its address is `server.url`."""
    state = FaultyServer(body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.seen.append((self.path, asked))
            path, start = self.path, 0
            if path in {"/missing", "/broken", "/redirect"}:
                self.send_response({"/missing": 404, "/broken": 500, "/redirect": 302}[path])
                if path == "/redirect":
                    self.send_header("Location", "/file")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = {"/wrong": bytes(len(state.body)), "/long": state.body + b"!"}.get(path, state.body)
            if asked and path != "/cut-no-range":
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            rest = body[start:]
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            if path == "/stall":
                self.wfile.write(body[start : len(body) // 2])
                self.wfile.flush()
                state.stop.wait(20)
            elif path == "/trickle":
                for i in range(0, len(rest), 200):
                    if state.stop.is_set():
                        break
                    self.wfile.write(rest[i : i + 200])
                    time.sleep(0.01)
            elif path == "/cut" or (path == "/cut-no-range" and state.count(path) == 1):
                self.wfile.write(rest[: len(body) // 4])
                self.close_connection = True
            else:
                self.wfile.write(rest)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that gives up is what these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stop.set()
        server.shutdown()
        server.server_close()
