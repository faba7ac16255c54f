"""The page for corrections over HTTP: who is answered, what is refused, and what comes of corrections."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers_fix import FPS, SIZE, clip_and_poses, walkers, whose
from helpers_video import grey_of, write_video

from sasmamba.app.config import Settings
from sasmamba.app.export.saved_take import read_take
from sasmamba.app.fix.corrections import CameraUpright, ExchangeSides, MoveJoint, to_plain
from sasmamba.app.fix.desk import Desk
from sasmamba.app.fix.fix_server import FixServer
from sasmamba.app.fix.fixes_file import new_fixes, read_fixes
from sasmamba.app.fix.frame_pictures import FramePictures
from sasmamba.app.fix.relifting import RememberingLifter
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.common.errors import UserError

FRAMES = 40
TAKE = walkers(FRAMES)
SIDES = to_plain(ExchangeSides(whose(TAKE, 1, 10), 0.2, 0.8))


@contextmanager
def served_desk(folder: Path) -> Iterator[tuple[FixServer, Path]]:
    """A server for a clip of two people, and the folder that it works in."""
    video, poses = clip_and_poses(folder, FRAMES)
    take = read_take(poses)
    lifter = RememberingLifter(Lifter.load())
    kept = folder / "poses.fixes.json"
    desk = Desk(take, Settings(), lifter, new_fixes(video, take.meta), autosave=kept)

    def save() -> str:
        desk.save(folder / "out.npz")
        return "Written."

    pictures = FramePictures(lambda start: VideoFile(video, start_s=start), take.times_s)
    with FixServer(pictures, video.name, save) as server:
        server.open(desk)
        yield server, folder
    pictures.close()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FixServer]:
    with served_desk(tmp_path_factory.mktemp("fix")) as (server, _):
        yield server


@pytest.fixture
def server(shared_server: FixServer) -> FixServer:
    """Nothing is corrected yet."""
    while shared_server.desk.work.corrections:
        shared_server.desk.undo()
    return shared_server


def asked(server: FixServer, request: bytes) -> tuple[int, str, bytes]:
    """Status, kind and content of the answer to a request; 0: hung up on."""
    address = server.url.split("/")[2]
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(request)
        answer = b""
        while piece := client.recv(1 << 16):
            answer += piece
    head, _, content = answer.partition(b"\r\n\r\n")
    kind = next((line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Content-Type")), b"")
    return (int(head.split()[1]) if head else 0), kind.decode(), content


def request_for(server: FixServer, path: str, body: bytes | None = None, **headers: str | None) -> bytes:
    """A request as the page makes it; headers of None are left out."""
    token = server.url.partition("?")[2]
    given: dict[str, str | None] = {"Host": server.url.split("/")[2]}
    if body is not None:
        given |= {"Origin": "/".join(server.url.split("/")[:3]), "Content-Length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
    first = f"{'GET' if body is None else 'POST'} {path}{'' if '?' in path else f'?{token}'} HTTP/1.1"
    return "\r\n".join([first, *lines, "", ""]).encode() + (body or b"")


def state_after(server: FixServer, path: str, value: object = None) -> dict[str, Any]:
    status, kind, content = asked(server, request_for(server, path, json.dumps(value).encode()))
    assert (status, kind) == (200, "application/json"), content
    answer: dict[str, Any] = json.loads(content)
    return answer


def test_the_page_and_its_parts(server: FixServer) -> None:
    status, kind, content = asked(server, request_for(server, "/"))
    assert (status, kind) == (200, "text/html; charset=utf-8")
    parts = [part.split(b"?")[0].decode() for part in content.replace(b"src=", b"href=").split(b'href="')[1:]]
    parts = [part for part in parts if not part.startswith("data:")]
    assert set(parts) == {"fix.css", "view.js", "fix_picture.js", "fix.js"}
    for part in parts:
        assert asked(server, request_for(server, f"/{part}"))[0] == 200
    status, _, content = asked(server, request_for(server, "/about"))
    about = json.loads(content)
    assert (about["width"], about["height"], len(about["times"]), len(about["joints"])) == (*SIZE, FRAMES, 17)


@pytest.mark.parametrize("path", ["/", "/state", "/frame/3.jpg", "/correct"])
@pytest.mark.parametrize(
    ("change", "want"),
    [
        pytest.param({"Host": "attacker.example"}, 421, id="another host"),
        pytest.param({"Host": None}, 400, id="no host"),
        pytest.param({"Origin": "http://attacker.example"}, 403, id="another page asks"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, 403, id="a page embeds it"),
        pytest.param({"token": ""}, 401, id="no token"),
        pytest.param({"token": "?token=wrong"}, 401, id="a wrong token"),
    ],
)
def test_strangers_get_nothing(server: FixServer, path: str, change: dict[str, str | None], want: int) -> None:
    body = json.dumps(SIDES).encode() if path == "/correct" else None
    token = change.get("token")
    whole = request_for(server, path, body, **{k: v for k, v in change.items() if k != "token"})
    if token is not None:
        whole = whole.replace(b"?" + server.url.partition("?")[2].encode(), (token or "?").encode())
    status, _, content = asked(server, whole)
    assert status == want
    assert b"joint" not in content
    assert server.desk.work.corrections == ()


@pytest.mark.parametrize(
    ("path", "body", "headers", "want"),
    [
        ("/correct", b"{}", {}, 400),
        ("/correct", b"no JSON", {}, 400),
        ("/correct", b"\xff\xfe", {}, 400),
        ("/correct", b"[" * 10_000, {}, 400),
        ("/correct", b"x" * 17_000, {}, 413),
        ("/correct", b"{}", {"Content_Length": None}, 411),
        ("/correct", b"{}", {"Content_Length": "-1"}, 411),
        ("/correct", b"{}", {"Content_Length": "9" * 30}, 411),
        ("/correct", b"{}", {"Content_Length": None, "Transfer_Encoding": "chunked"}, 411),
        ("/nothing", b"{}", {}, 404),
        ("/frame/99.jpg", None, {}, 404),
        ("/frame/-1.jpg", None, {}, 404),
        ("/../etc/passwd", None, {}, 404),
        ("/state", b"{}", {}, 404),
        ("/" + "x" * 20_000, None, {}, 431),
    ],
    ids=str,
)
def test_requests_that_cannot_be(
    server: FixServer, path: str, body: bytes | None, headers: dict[str, str | None], want: int
) -> None:
    assert asked(server, request_for(server, path, body, **headers))[0] == want
    assert server.desk.work.corrections == ()


def test_a_body_that_does_not_come(server: FixServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.serving.http_listener.HEAD_S", 0.5)
    assert asked(server, request_for(server, "/correct", b"{}", Content_Length="100"))[0] == 408


def test_another_method(server: FixServer) -> None:
    assert asked(server, request_for(server, "/state").replace(b"GET", b"DELETE"))[0] == 501


def test_corrections_undo_and_redo(server: FixServer) -> None:
    before = state_after(server, "/undo")
    assert (before["corrections"], before["can_undo"]) == ([], False)
    done = state_after(server, "/correct", SIDES)
    assert done["corrections"] == [
        {"told": "#1 left and right exchanged from 0.20 s to 0.80 s", "time_s": pytest.approx(0.4)}
    ]
    assert done["seen"][0]["joints"] != before["seen"][0]["joints"]
    assert done["people"][0]["joints"] != before["people"][0]["joints"]
    assert done["people"][1]["id"] == 2
    undone = state_after(server, "/undo")
    assert undone["people"] == before["people"]
    assert (undone["can_undo"], undone["can_redo"]) == (False, True)
    redone = state_after(server, "/redo")
    assert redone["people"] == done["people"]
    assert not redone["can_redo"]
    state_after(server, "/undo")
    other = state_after(server, "/correct", to_plain(CameraUpright(0.4, 20, 0)))
    assert not other["can_redo"]  # what was undone is gone when something else is done
    assert other["cameras"][0] == pytest.approx([20, 0], abs=1e-3)


def test_every_change_is_kept_and_saving_writes_poses(tmp_path: Path) -> None:
    with served_desk(tmp_path) as (server, folder):
        move = MoveJoint(whose(TAKE, 2, 7), "right_knee", (250.0, 150.0))
        state_after(server, "/correct", to_plain(move))
        assert read_fixes(folder / "poses.fixes.json").corrections == (move,)
        state_after(server, "/correct", SIDES)
        state = state_after(server, "/undo")
        assert read_fixes(folder / "poses.fixes.json").corrections == (move,)
        assert state["unsaved"]
        state = state_after(server, "/save")
        assert (state["note"], state["unsaved"]) == ("Written.", False)
    poses = np.load(folder / "out.npz")
    np.testing.assert_array_equal(poses["keypoints_coco17"][1, 7, 14], [250, 150, 1])
    assert np.isfinite(poses["joints3d"][1, 7]).all()


def test_what_does_not_apply_is_refused(server: FixServer) -> None:
    lost = replace(whose(TAKE, 1, 10), at_px=(3000.0, 10.0))
    body = json.dumps(to_plain(ExchangeSides(lost, 0.2, 0.8))).encode()
    status, _, content = asked(server, request_for(server, "/correct", body))
    assert status == 400
    assert "nobody is where #1 was at 0.40 s" in content.decode()
    assert server.desk.work.corrections == ()


def level(jpeg: bytes) -> float:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (*SIZE[::-1], 3)
    return float(picture.mean())


def test_each_frame_has_its_picture(server: FixServer) -> None:
    for frame in (0, 39, 20, 21, 3, 38):
        status, kind, content = asked(server, request_for(server, f"/frame/{frame}.jpg"))
        assert (status, kind) == (200, "image/jpeg")
        assert level(content) == pytest.approx(grey_of(frame), abs=3)


@pytest.mark.parametrize("varies", [False, True])
@pytest.mark.parametrize("start_s", [None, 1.0])
def test_pictures_in_any_order(tmp_path: Path, varies: bool, start_s: float | None) -> None:
    frames = 200
    steps = [Fraction(1 + (f % 3 if varies else 0), FPS) for f in range(frames)]
    times = [sum(steps[:f], Fraction(0)) for f in range(frames)]
    path = write_video(tmp_path / "a.mp4", frames, size=SIZE, fps=FPS, times=times, gop=12)
    with VideoFile(path, start_s=start_s) as video:
        shown = [(frame.time_s, float(frame.bgr.mean())) for frame in video]
    opened: list[Fraction | None] = []

    def part(start: Fraction | None) -> VideoFile:
        opened.append(start)
        return VideoFile(path, start_s=start_s if start is None else start)

    pictures = FramePictures(part, [time for time, _ in shown])
    order = np.random.default_rng(0).integers(0, len(shown), 25).tolist()
    for frame in [0, len(shown) - 1, *order]:
        assert level(pictures.jpeg(frame)) == pytest.approx(shown[frame][1], abs=3), frame
    assert sum(start is not None for start in opened) > 3  # it sought, and did not decode from the start each time
    pictures.close()
    with pytest.raises(UserError, match="cannot be read"):
        FramePictures(part, [time for time, _ in shown] + [shown[-1][0] + 1]).jpeg(len(shown))
