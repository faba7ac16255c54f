"""The page for corrections, over HTTP on this machine alone: pictures and poses to it, corrections back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from sasmamba.app.fix.corrections import from_plain
from sasmamba.app.fix.desk import Desk
from sasmamba.app.fix.fix_message import about, state
from sasmamba.app.fix.frame_pictures import FramePictures
from sasmamba.app.serving.gate import LOOPBACK, Gate, Refusal
from sasmamba.app.serving.http_listener import Handler, Listener
from sasmamba.app.serving.page_files import VIEW, PageFiles
from sasmamba.common.errors import UserError

_FIX = "sasmamba.app.fix"
_PAGE = PageFiles(
    (_FIX, "fix.html"),
    {"/view.js": VIEW, **{f"/{name}": (_FIX, name) for name in ("fix.js", "fix_picture.js", "fix.css")}},
)
#: A correction takes a few hundred bytes.
_MOST_BODY_BYTES = 16 * 1024
_FRAME = re.compile(r"/frame/([0-9]{1,9})\.jpg", re.ASCII)
_JSON = "application/json"


class FixServer:
    """A page at http://127.0.0.1:port/?token=…, from `open` until the block ends.

    Args:
        pictures: of the video.
        video: its name.
        save: writes what `fix` writes, and says in a sentence what it wrote.
        port: where to listen; 0 is any free one.

    Attributes:
        url: the page, with its token.
        desk: what is corrected.

    Raises:
        UserError: the port is taken or not allowed.
    """

    desk: Desk

    def __init__(self, pictures: FramePictures, video: str, save: Callable[[], str], port: int = 0) -> None:
        self.pictures, self.video, self.save = pictures, video, save
        self._listener = _FixListener(LOOPBACK, port, Gate(LOOPBACK, writes=True), _FixHandler, "--port")
        self._listener.served = self
        self.url = f"http://{self._listener.address}/{self._listener.query}"

    def __enter__(self) -> Self:
        return self

    def open(self, desk: Desk) -> None:
        """Answers from now on."""
        self.desk = desk
        self._listener.listen()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()


class _FixListener(Listener):
    served: FixServer


class _FixHandler(Handler):
    server: _FixListener

    def respond(self, path: str) -> None:
        served = self.server.served
        if self.command == "POST":
            self._change(path)
        elif path == "/":
            self.answer(HTTPStatus.OK, *_PAGE.html(self.server.query))
        elif path in _PAGE.parts:
            self.answer(HTTPStatus.OK, *_PAGE.part(path))
        elif path == "/about":
            self._tell(about(served.desk, served.video))
        elif path == "/state":
            self._tell(state(served.desk, served.desk.settled()))
        elif match := _FRAME.fullmatch(path):
            self._picture(int(match[1]))
        else:
            self.refuse(Refusal(HTTPStatus.NOT_FOUND, "There is no such page here."))

    do_POST = Handler.do_GET

    def _picture(self, frame: int) -> None:
        served = self.server.served
        if frame >= served.desk.original.frames:
            return self.refuse(Refusal(HTTPStatus.NOT_FOUND, f"There are {served.desk.original.frames} frames."))
        try:
            return self.answer(HTTPStatus.OK, "image/jpeg", served.pictures.jpeg(frame))
        except UserError as error:
            return self.refuse(Refusal(HTTPStatus.NOT_FOUND, str(error)))

    def _change(self, path: str) -> None:
        served, desk = self.server.served, self.server.served.desk
        content = self.body(_MOST_BODY_BYTES)
        if content is None:
            return None
        try:
            if path == "/correct":
                return self._tell(state(desk, desk.do(from_plain(json.loads(content)))))
            if path == "/undo":
                return self._tell(state(desk, desk.undo()))
            if path == "/redo":
                return self._tell(state(desk, desk.redo()))
            if path == "/save":
                note = served.save()
                return self._tell(state(desk, note=note))
        except (ValueError, RecursionError) as error:
            return self.refuse(Refusal(HTTPStatus.BAD_REQUEST, str(error) or "The correction is nested too deep."))
        except UserError as error:
            return self.refuse(Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)))
        return self.refuse(Refusal(HTTPStatus.NOT_FOUND, "There is /correct, /undo, /redo and /save."))

    def _tell(self, value: dict[str, Any]) -> None:
        self.answer(HTTPStatus.OK, _JSON, json.dumps(value).encode())
