"""The live page for browsers: people in 3D by a WebSocket, the picture as a stream (multipart JPEG), over HTTP."""

from __future__ import annotations

import threading
from http import HTTPStatus
from types import TracebackType
from typing import Self

import cv2
from numpy.typing import NDArray

from sasmamba.app.live.motion_feed import MotionFeed
from sasmamba.app.live.motion_socket import converse
from sasmamba.app.serving.gate import LOOPBACK, Gate, Refusal
from sasmamba.app.serving.http_listener import Handler, Listener
from sasmamba.app.serving.page_files import VIEW, PageFiles

#: A page that nobody sends a picture for so long sends the last one again, so that the connection is seen to live.
_REPEAT_S = 5.0
_JPEG_QUALITY = 85
_BOUNDARY = "picture"
_LIVE = "sasmamba.app.live"
_PAGE = PageFiles(
    (_LIVE, "page.html"), {"/view.js": VIEW, "/page.js": (_LIVE, "page.js"), "/page.css": (_LIVE, "page.css")}
)


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
        query: what each of them needs to be answered, with the token, or nothing.
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
        self._listener = _Listener(host, port, self.gate, _Handler, option)
        self._listener.page = self
        base, self.query = f"{self._listener.address}/", self._listener.query
        self.url, self.stream_url = f"http://{base}{self.query}", f"http://{base}stream{self.query}"
        self.motion_url = f"ws://{base}{self.query}"

    def __enter__(self) -> Self:
        self._listener.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._fresh:
            self._closed = True
            self._fresh.notify_all()
        self._listener.close()

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


class _Listener(Listener):
    page: Server


class _Handler(Handler):
    server: _Listener

    def respond(self, path: str) -> None:
        if path == "/stream":
            self._stream()
        elif self.wants_socket and path in ("/", "/motion"):
            self._motion()
        elif path == "/":
            self.answer(HTTPStatus.OK, *_PAGE.html(self.server.query))
        elif path in _PAGE.parts:
            self.answer(HTTPStatus.OK, *_PAGE.part(path))
        else:
            self.refuse(Refusal(HTTPStatus.NOT_FOUND, "There is /, /stream, and by WebSocket /motion."))

    def _motion(self) -> None:
        feed = self.server.page.feed
        if feed is None or self.command != "GET":
            return self.refuse(Refusal(HTTPStatus.NOT_FOUND, "There is no motion here."))
        return converse(self.connection, self.head, feed)

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
