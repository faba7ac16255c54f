"""Who may speak to a server of ours: the host that is asked for, the page that asks, and a token beyond this machine.

A web page anywhere can make its visitor's browser ask this machine for things, and by DNS rebinding even read the
answers: it names its own host, which then resolves to 127.0.0.1. So the Host header must name this machine, and a page
that asks must have come from here. Every server asks the same gate before it answers anything, and keeps its limits.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

LOOPBACK = "127.0.0.1"
#: Connections at a time, whatever they do.
MOST_CLIENTS = 32
#: Bytes of a request up to its empty line; browsers send one or two thousand.
MOST_HEAD_BYTES = 16 * 1024
#: From connecting to the end of the request's head, all together and not by the byte.
HEAD_S = 5.0
#: For one message to reach a client.
SEND_S = 20.0

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.IGNORECASE | re.ASCII)


class Headers(Protocol):
    """Headers of a request, as http.server and the libraries for WebSockets give them."""

    def get_all(self, name: str, /) -> Any:
        """Every value of that name, whatever its case; an empty list or None where there is none."""


class HeadTooLong(ValueError):
    """A request whose head exceeds MOST_HEAD_BYTES."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets nothing: the status, and a sentence for whoever asked."""

    status: HTTPStatus
    reason: str


def is_loopback(host: str) -> bool:
    """Whether a server that listens there can be reached from this machine alone."""
    address = _ip(host)
    return address.is_loopback if address else host.lower().rstrip(".") == "localhost"


class Gate:
    """Judges requests to a server that listens on `host`.

    Args:
        host: this machine's address.
        writes: what is asked for changes something: then a request needs the token even where only this machine can
            ask, since other users of it, and other programs, can.

    Attributes:
        token: what a request must bring, as `?token=` or `Authorization: Bearer`; None where none is needed.
    """

    def __init__(self, host: str, *, writes: bool = False) -> None:
        self._local = is_loopback(host)
        self.token = None if self._local and not writes else secrets.token_urlsafe(24)
        self._names = {"localhost"}
        if not self._local:
            here = socket.gethostname().lower()
            self._names |= {here, f"{here}.local", host.lower()}

    def refusal(self, target: str, headers: Headers) -> Refusal | None:
        """None where the request may be answered.

        Args:
            target: the request's path with its query.
            headers: all that it brought.
        """
        hosts, origins = _values(headers, "Host"), _values(headers, "Origin")
        if len(hosts) != 1 or len(origins) > 1:
            return Refusal(HTTPStatus.BAD_REQUEST, "A request names one host, and one origin at most.")
        host = hosts[0].lower()
        if not self._is_here(host):
            return Refusal(
                HTTPStatus.MISDIRECTED_REQUEST, "This host is not served here: use the address that was printed."
            )
        if origins and origins[0].lower() not in (f"http://{host}", f"https://{host}"):
            return Refusal(HTTPStatus.FORBIDDEN, "Pages from elsewhere get nothing here.")
        if self._from_elsewhere(headers):
            return Refusal(HTTPStatus.FORBIDDEN, "Pages from elsewhere get nothing here.")
        if self.token is not None and not self._knows(self.token, target, headers):
            return Refusal(
                HTTPStatus.UNAUTHORIZED, "The token is missing or wrong: use the whole address that was printed."
            )
        return None

    def _is_here(self, host: str) -> bool:
        """A rebound name is a name: addresses in figures can only be what they say."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").rstrip(".")
        address = _ip(name)
        if address is not None:
            return address.is_loopback or not self._local
        return name in self._names

    @staticmethod
    def _from_elsewhere(headers: Headers) -> bool:
        """What browsers say of a request without an origin (pictures, frames); following a link here is allowed."""
        if all(site in ("same-origin", "none") for site in _values(headers, "Sec-Fetch-Site")):
            return False
        return _values(headers, "Sec-Fetch-Mode") != ["navigate"] or _values(headers, "Sec-Fetch-Dest") != ["document"]

    @staticmethod
    def _knows(token: str, target: str, headers: Headers) -> bool:
        given = [part[6:] for part in target.partition("?")[2].split("&") if part.startswith("token=")]
        given += [value[7:].strip() for value in _values(headers, "Authorization") if value[:7].lower() == "bearer "]
        return any(secrets.compare_digest(token.encode(), value.encode("utf-8", "replace")) for value in given)


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """What a client sends up to and with the first empty line, and what came with it of the rest; both b"" from one
    that hangs up or says nothing.

    Raises:
        TimeoutError: it began, and did not end within HEAD_S.
        HeadTooLong: it did not end within MOST_HEAD_BYTES.
        OSError: the connection broke.
    """
    end, head = time.monotonic() + HEAD_S, b""
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        try:
            piece = connection.recv(4096)
        except TimeoutError:
            if head:
                raise
            return b"", b""
        if not piece:
            return b"", b""
        head += piece
        for mark in (b"\r\n\r\n", b"\n\n"):
            if 0 <= (at := head.find(mark)) <= MOST_HEAD_BYTES:
                return head[: at + len(mark)], head[at + len(mark) :]
        if len(head) > MOST_HEAD_BYTES:
            raise HeadTooLong


def _values(headers: Headers, name: str) -> list[str]:
    return [str(value).strip() for value in headers.get_all(name) or ()]


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
