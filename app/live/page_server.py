"""The live page for browsers: people in 3D by a WebSocket, the picture as a stream (multipart JPEG), over HTTP."""

from __future__ import annotations

import io
import logging
import os
import socket
import socketserver
import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

import cv2
from numpy.typing import NDArray

from sasmamba.app.live.gate import LOOPBACK, MOST_CLIENTS, SEND_S, Gate, HeadTooLong, Refusal, read_head
from sasmamba.app.live.motion_feed import MotionFeed
from sasmamba.app.live.motion_socket import converse
from sasmamba.app.live.page_parts import PARTS, page, part
from sasmamba.common.errors import UserError

_TITLE = "sasmamba-demo"
#: A page that nobody sends a picture for so long sends the last one again, so that the connection is seen to live.
_REPEAT_S = 5.0
_JPEG_QUALITY = 85
_BOUNDARY = "picture"

_log = logging.getLogger(__name__)


class Server:
    """A page at http://host:port/ with people in 3D; the picture (multipart JPEG) for it and for players at /stream;
    and motion as data at ws://host:port/, see `motion_message`.

    Slow viewers miss pictures rather than hold anything up. Only this machine can see it unless `host` says otherwise;
    then whoever brings the token that is in the addresses. The connection is not encrypted.

    Args:
        port: where to listen; 0 is any free one.
        host: this machine's address to listen at.
        feed: the motion; without one the page shows the picture alone.
        option: that chose the port.

    Attributes:
        url: the page.
        stream_url: the picture alone.
        motion_url: the WebSocket.
        viewers: how many watch the picture.

    Raises:
        UserError: the port is taken or not allowed, or there is no such host.
    """

    def __init__(
        self, port: int, host: str = LOOPBACK, feed: MotionFeed | None = None, option: str = "--serve"
    ) -> None:
        self._fresh = threading.Condition()
        self._jpeg = b""
        self._number = 0
        self._closed = False
        self.viewers = 0
        self.feed = feed
        self.gate = Gate(host)
        try:
            self._listener = _Listener(host, port, self)
        except (OSError, OverflowError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(f"Port {port} on {host} cannot be served ({reason}): choose another {option}.") from error
        shown = host if host not in ("", "0.0.0.0", "::") else socket.gethostname()
        base = f"{f'[{shown}]' if ':' in shown else shown}:{self._listener.server_address[1]}/"
        self.query = f"?token={self.gate.token}" if self.gate.token else ""
        self.url, self.stream_url = f"http://{base}{self.query}", f"http://{base}stream{self.query}"
        self.motion_url = f"ws://{base}{self.query}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._listener.serve_forever, name="serve", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._fresh:
            self._closed = True
            self._fresh.notify_all()
        self._listener.shutdown()
        self._listener.server_close()

    def show(self, picture: NDArray) -> None:
        """Gives (height, width, 3) uint8 BGR to everybody who watches; costs nothing while nobody does."""
        if not self.viewers and self._jpeg:
            return
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
        with self._fresh:
            self._jpeg = encoded
            self._number += 1
            self._fresh.notify_all()

    def next(self, number: int) -> tuple[int, bytes] | None:
        """The newest picture as JPEG and its number, once it is not `number` any more; None at the end."""
        with self._fresh:
            self._fresh.wait_for(lambda: self._closed or (self._number != number and bool(self._jpeg)), _REPEAT_S)
            return None if self._closed else (self._number, self._jpeg)

    def watched(self, more: int) -> None:
        """Counts viewers that come and go."""
        with self._fresh:
            self.viewers += more


class _Listener(socketserver.ThreadingTCPServer):
    """A thread for each client, and so many clients at most; who has not asked yet makes room for who comes."""

    daemon_threads = True
    # elsewhere it only passes over what closed connections leave behind; on Windows it would share a taken port
    allow_reuse_address = os.name != "nt"
    request_queue_size = MOST_CLIENTS

    def __init__(self, host: str, port: int, page: Server) -> None:
        self.page = page
        self._guard = threading.Lock()
        self._silent: dict[socket.socket, bool] = {}  # those connected, in their order, and who has not asked yet
        family, *_, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        self.address_family = family
        super().__init__((str(address[0]), port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:  # too many open files, say: whoever waits is still waiting, and would be asked for at once
            time.sleep(0.1)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            full = len(self._silent) >= MOST_CLIENTS
            idle = next((s for s, silent in self._silent.items() if silent), None) if full else None
            if idle is not None:
                del self._silent[idle]
                _hang_up(idle)
            if not full or idle is not None:
                self._silent[request] = True
        if full and idle is None:
            request.setblocking(False)
            with suppress(OSError):  # they have gone already
                request.send(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n\r\n")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def has_asked(self, request: socket.socket) -> None:
        """That client's request is complete; it keeps its place."""
        with self._guard:
            if request in self._silent:
                self._silent[request] = False

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._silent.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._guard:
            for request in self._silent:
                _hang_up(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that goes is its right
            _log.exception("a request to the live page failed")


def _hang_up(request: socket.socket) -> None:
    """Ends a connection that another thread waits on; that thread closes it."""
    with suppress(OSError):  # the other side was faster
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # a stream has no length; one request a connection
    default_request_version = protocol_version  # without it, what cannot be read is answered without a status
    server: _Listener
    raw_requestline = b""
    requestline = request_version = ""
    command = ""
    head = b""  # of the request, as it came

    def handle(self) -> None:
        try:
            head = read_head(self.connection)
        except TimeoutError:
            return self._refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT, "The request did not end in time."))
        except HeadTooLong:
            return self._refuse(Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long."))
        finally:
            self.connection.settimeout(SEND_S)
        if head:
            self.server.has_asked(self.connection)
            self.rfile.close()
            self.rfile, self.head = io.BytesIO(head), head
            self.handle_one_request()
        return None

    def do_GET(self) -> None:
        if self.headers.defects or self.headers.get_payload():  # lines that are no headers would hide those after them
            return self._refuse(Refusal(HTTPStatus.BAD_REQUEST, "The request has lines that are no headers."))
        wants_motion = self.headers.get("Upgrade", "").lower() == "websocket"
        if wants_motion:
            self.protocol_version = "HTTP/1.1"  # clients for WebSockets do not read refusals in another
        refusal = self.server.page.gate.refusal(self.path, self.headers)
        path = self.path.partition("?")[0]
        if refusal is not None:
            self._refuse(refusal)
        elif path == "/stream":
            self._stream()
        elif wants_motion and path in ("/", "/motion"):
            self._motion()
        elif path == "/":
            self._answer(HTTPStatus.OK, "text/html", page(self.server.page.query))
        elif path in PARTS:
            self._answer(HTTPStatus.OK, *part(path))
        else:
            self._refuse(Refusal(HTTPStatus.NOT_FOUND, "There is /, /stream, and by WebSocket /motion."))
        return None

    def _motion(self) -> None:
        feed = self.server.page.feed
        if feed is None or self.command != "GET":
            return self._refuse(Refusal(HTTPStatus.NOT_FOUND, "There is no motion here."))
        return converse(self.connection, self.head, feed)

    do_HEAD = do_GET

    def _refuse(self, refusal: Refusal) -> None:
        self._answer(refusal.status, "text/plain", refusal.reason + "\n")

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end_headers(self) -> None:
        for name, value in _FENCES.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        return _TITLE

    def _stream(self) -> None:
        page = self.server.page
        page.watched(+1)
        try:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.end_headers()
            number = -1
            while self.command == "GET" and (fresh := page.next(number)) is not None:
                number, jpeg = fresh
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
        finally:
            page.watched(-1)

    def log_message(self, format: str, *args: object) -> None:
        pass


#: With every answer: nobody keeps it, frames it, embeds it, or learns the address with the token from it.
_FENCES = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}
