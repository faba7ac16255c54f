"""An HTTP server with limits: a thread for each client, so many clients at most, and a gate before every answer."""

from __future__ import annotations

import errno
import io
import logging
import os
import socket
import socketserver
import sys
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from sasmamba.app.serving.gate import HEAD_S, MOST_CLIENTS, SEND_S, Gate, HeadTooLong, Refusal, read_head
from sasmamba.common.errors import UserError

_TITLE = "sasmamba-demo"

_log = logging.getLogger(__name__)


class Listener(socketserver.ThreadingTCPServer):
    """A thread for each client, and so many clients at most; who has not asked yet makes room for who comes.

    Args:
        host: this machine's address to listen at.
        port: where to listen; 0 is any free one.
        gate: judges every request.
        handler: answers those that it lets through.
        option: that chose the port.

    Attributes:
        address: host and port as they stand in an address: "127.0.0.1:8477".
        query: what an address needs to be answered: "?token=…", or nothing.

    Raises:
        UserError: the port is taken or not allowed, or there is no such host.
    """

    daemon_threads = True
    # elsewhere it only passes over what closed connections leave behind; on Windows it would share a taken port
    allow_reuse_address = os.name != "nt"
    request_queue_size = MOST_CLIENTS

    def __init__(self, host: str, port: int, gate: Gate, handler: type[Handler], option: str) -> None:
        self.gate, self._listening = gate, False
        self._guard = threading.Lock()
        self._silent: dict[socket.socket, bool] = {}  # those connected, in their order, and who has not asked yet
        try:
            family, *_, address = socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self.address_family = family
            super().__init__((str(address[0]), port), handler)
        except (OSError, OverflowError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            # a UnicodeError: a name that the domain name system cannot write, such as ".."
            no_such_host = isinstance(error, socket.gaierror | UnicodeError)
            if no_such_host or getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
                raise UserError(
                    f"{host} is no address of this machine ({reason}): choose another --serve-host."
                ) from error
            raise UserError(f"Port {port} on {host} cannot be served ({reason}): choose another {option}.") from error
        shown = host if host not in ("", "0.0.0.0", "::") else socket.gethostname()
        self.address = f"{f'[{shown}]' if ':' in shown else shown}:{self.server_address[1]}"
        self.query = f"?token={gate.token}" if gate.token else ""

    def listen(self) -> None:
        """Answers from now on, in threads of its own, until `close`."""
        self._listening = True
        threading.Thread(target=self.serve_forever, name="serve", daemon=True).start()

    def close(self) -> None:
        """Hangs up on everybody."""
        if self._listening:  # otherwise there is nobody to wait for
            self._listening = False
            self.shutdown()
        self.server_close()

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
            _log.exception("a request could not be answered")


def _hang_up(request: socket.socket) -> None:
    """Ends a connection that another thread waits on; that thread closes it."""
    with suppress(OSError):  # the other side was faster
        request.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler, ABC):
    """Reads one request within the limits and asks the gate; whoever passes gets to `respond`.

    Attributes:
        head: of the request, as it came.
        rest: what came with it of the request's body.
    """

    protocol_version = "HTTP/1.0"  # a stream has no length; one request a connection
    default_request_version = protocol_version  # without it, what cannot be read is answered without a status
    server: Listener
    raw_requestline = b""
    requestline = request_version = ""
    command = ""
    head = rest = b""

    @abstractmethod
    def respond(self, path: str) -> None:
        """Answers a request for a path, without its query, that the gate has let in."""

    def handle(self) -> None:
        try:
            head, self.rest = read_head(self.connection)
        except TimeoutError:
            return self.refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT, "The request did not end in time."))
        except HeadTooLong:
            return self.refuse(Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long."))
        finally:
            self.connection.settimeout(SEND_S)
        if head:
            self.server.has_asked(self.connection)
            self.rfile.close()
            self.rfile, self.head = io.BytesIO(head), head
            self.handle_one_request()
        return None

    def do_GET(self) -> None:
        """Answers, or says why not."""
        if self.headers.defects or self.headers.get_payload():  # lines that are no headers would hide those after them
            return self.refuse(Refusal(HTTPStatus.BAD_REQUEST, "The request has lines that are no headers."))
        if self.wants_socket:
            self.protocol_version = "HTTP/1.1"  # clients for WebSockets do not read refusals in another
        refusal = self.server.gate.refusal(self.path, self.headers)
        if refusal is not None:
            return self.refuse(refusal)
        return self.respond(self.path.partition("?")[0])

    do_HEAD = do_GET

    @property
    def wants_socket(self) -> bool:
        """Whether it is to become a WebSocket."""
        return self.headers.get("Upgrade", "").lower() == "websocket"

    def body(self, most_bytes: int) -> bytes | None:
        """What a request brings beside its head; None where it was refused: no length, too long, or too slow.

        Raises:
            OSError: the connection broke.
        """
        given = self.headers.get_all("Content-Length") or []
        if len(given) != 1 or not given[0].strip().isdecimal() or not given[0].isascii() or len(given[0]) > 12:
            self.refuse(Refusal(HTTPStatus.LENGTH_REQUIRED, "The request must say how long it is."))
            return None
        length, end = int(given[0]), time.monotonic() + HEAD_S
        if length > most_bytes:
            self.refuse(Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {most_bytes} bytes are read."))
            return None
        content = self.rest
        try:
            while len(content) < length:
                self.connection.settimeout(max(0.01, end - time.monotonic()))
                piece = self.connection.recv(min(65536, length - len(content)))
                if not piece or time.monotonic() > end:
                    raise TimeoutError
                content += piece
        except TimeoutError:
            self.refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT, "The request did not end in time."))
            return None
        finally:
            self.connection.settimeout(SEND_S)
        return content[:length]

    def refuse(self, refusal: Refusal) -> None:
        """Says why not."""
        self.answer(refusal.status, "text/plain; charset=utf-8", (refusal.reason + "\n").encode())

    def answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        """Sends a whole answer of some kind."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
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
