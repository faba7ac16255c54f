"""The page for corrections, over HTTP on this machine alone: pictures and poses to it, corrections back."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import motions
from sasmamba.app.export.report.data import hex_of, payload
from sasmamba.app.fix.applying import middle_px
from sasmamba.app.fix.corrections import JOINT_NAMES, from_plain, time_of, told
from sasmamba.app.fix.desk import Desk, Work
from sasmamba.app.fix.frame_pictures import FramePictures
from sasmamba.app.render.palette import track_color
from sasmamba.app.serving.gate import LOOPBACK, Gate, Refusal
from sasmamba.app.serving.http_listener import Handler, Listener
from sasmamba.app.serving.page_files import VIEW, PageFiles
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import COCO_EDGES

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

    def about(self) -> dict[str, Any]:
        """What does not change: the video, its frames, and the joints of the 2D."""
        take = self.desk.original
        return {
            "video": self.video,
            "width": take.meta.width,
            "height": take.meta.height,
            "start_s": float(self.desk.start_s),
            "times": [round(float(t) + self.desk.start_s, 6) for t in take.times_s],
            "joints": JOINT_NAMES,
            "edges": [[edge.a, edge.b, edge.side] for edge in COCO_EDGES],
            "shots": [[shot.start, shot.stop] for shot in take.shots],
        }

    def state(self, work: Work, note: str = "") -> dict[str, Any]:
        """What corrections have come to."""
        take, placement = work.take, work.placement
        return {
            "note": note,
            "corrections": [{"told": told(one), "time_s": time_of(one)} for one in work.corrections],
            "can_undo": bool(work.corrections),
            "can_redo": self.desk.can_redo,
            "unsaved": self.desk.unsaved,
            "problems": list(work.problems),
            "windows": work.windows,
            "cameras": [[shot.pitch_deg, shot.roll_deg] for shot in placement.shots],
            "motion": payload(take, placement, motions(take, placement)),
            "seen": [
                _seen(i, [(f, track.people[f]) for f in sorted(track.people)])
                for i, track in sorted(take.tracks.items())
            ],
        }


def _seen(track_id: int, people: list[tuple[int, Any]]) -> dict[str, Any]:
    """Somebody in 2D: `frames` int32 (n,); `joints` float32 (n, 17, 3) x px, y px, score; `middle_px` (n, 2)."""
    joints = np.stack([np.concatenate([person.joints_px, person.score[:, None]], 1) for _, person in people])
    return {
        "id": track_id,
        "color": hex_of(track_color(track_id)),
        "frames": _packed(np.array([frame for frame, _ in people]), "<i4"),
        "joints": _packed(joints, "<f4"),
        "middle_px": _packed(np.array([middle_px(person) for _, person in people]), "<f8"),
    }


def _packed(values: NDArray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


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
            self._tell(served.about())
        elif path == "/state":
            self._tell(served.state(served.desk.work))
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
                return self._tell(served.state(desk.do(from_plain(json.loads(content)))))
            if path == "/undo":
                return self._tell(served.state(desk.undo()))
            if path == "/redo":
                return self._tell(served.state(desk.redo()))
            if path == "/save":
                note = served.save()
                return self._tell(served.state(desk.work, note))
        except (ValueError, RecursionError) as error:
            return self.refuse(Refusal(HTTPStatus.BAD_REQUEST, str(error) or "The correction is nested too deep."))
        except UserError as error:
            return self.refuse(Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)))
        return self.refuse(Refusal(HTTPStatus.NOT_FOUND, "There is /correct, /undo, /redo and /save."))

    def _tell(self, value: dict[str, Any]) -> None:
        self.answer(HTTPStatus.OK, _JSON, json.dumps(value).encode())
