"""The page for corrections in a browser: joints dragged, people chosen, keys, a phone; the 3D follows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_browser import Browser, browser, browser_here
from test_fix_page import served_desk

from sasmamba.app.fix import desk as desk_module
from sasmamba.app.fix.corrections import ExchangePeople, ExchangeSides, FootOnFloor, MoveJoint
from sasmamba.app.fix.desk import Desk
from sasmamba.app.fix.fix_server import FixServer
from sasmamba.common.errors import UserError

pytestmark = pytest.mark.skipif(not browser_here(), reason="chromium is not installed")

WRIST = 9  # COCO's left one
CONTROL, SHIFT, DELETE, RIGHT = "\ue009", "\ue008", "\ue017", "\ue014"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser(1440, 900) as window:
        yield window


@contextmanager
def opened(
    window: Browser, folder: Path, width: int = 1440, height: int = 900, ratio: int = 1
) -> Iterator[tuple[Browser, FixServer]]:
    with served_desk(folder) as (server, _), window.showing(server.url, width, height, ratio):
        there = "[typeof picture, typeof view, typeof state].every(kind => kind === 'object')"  # its scripts have run
        window.until(f"return Boolean({there} && picture && view && state && picture.scale)")
        window.run("show(10)")
        window.until("return pictures.get(10).naturalWidth === 320")
        yield window, server


def on_screen(window: Browser, person: int, joint: int) -> tuple[int, int]:
    """Where a joint is in the window, CSS pixels."""
    x, y = window.run(
        "const box = picture.canvas.getBoundingClientRect(), j = seen.find(p => p.id === arguments[0]).at(frame);"
        "const at = k => j[3 * arguments[1] + k] * picture.scale;"
        "return [box.left + (at(0) + picture.left) / picture.ratio, box.top + (at(1) + picture.top) / picture.ratio]",
        person,
        joint,
    )
    return round(x), round(y)


def drag_joint(window: Browser, person: int, joint: int, dx: int, dy: int, finger: bool = False) -> None:
    x, y = on_screen(window, person, joint)
    window.actions(
        "pointer",
        {"type": "pointerMove", "duration": 0, "x": x, "y": y},
        {"type": "pointerDown", "button": 0},
        {"type": "pointerMove", "duration": 60, "x": x + dx // 2, "y": y + dy // 2},
        {"type": "pointerMove", "duration": 60, "x": x + dx, "y": y + dy},
        {"type": "pointerUp", "button": 0},
        pointerType="touch" if finger else "mouse",
    )


def press(window: Browser, *keys: str) -> None:
    """Keys held together."""
    steps = [{"type": "keyDown", "value": key} for key in keys] + [
        {"type": "keyUp", "value": key} for key in keys[::-1]
    ]
    window.actions("key", *steps)


def corrections(window: Browser, count: int) -> None:
    window.until(f"return !busy && state.corrections.length === {count}")


def in_3d(window: Browser, person: int) -> np.ndarray:
    """Somebody's joints in the shown frame, metres."""
    return np.array(
        window.run("return Array.from(people.find(p => p.id === arguments[0]).at(frame).joints)", person), float
    ).reshape(-1, 3)


def in_2d(window: Browser, person: int) -> np.ndarray:
    return np.array(
        window.run("return Array.from(seen.find(p => p.id === arguments[0]).at(frame))", person), float
    ).reshape(-1, 3)


def keep(window: Browser, name: str) -> None:
    """Leaves the picture in the folder that KEEP_PICTURES names."""
    if folder := os.environ.get("KEEP_PICTURES"):
        cv2.imwrite(str(Path(folder) / name), window.picture())


def test_a_joint_is_dragged_and_the_3d_follows(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, tmp_path) as (window, server):
        before_2d, before = in_2d(window, 1), in_3d(window, 1)
        painted = window.run("return view.canvas.toDataURL()")
        drag_joint(window, 1, WRIST, 60, -90)
        corrections(window, 1)
        [move] = server.desk.work.corrections
        assert isinstance(move, MoveJoint)
        assert (move.joint, move.whose.person, move.spread_s) == ("left_wrist", 1, 0.1)
        scale = window.run("return picture.scale / picture.ratio")
        want = before_2d[WRIST, :2] + np.array([60, -90]) / scale
        np.testing.assert_allclose(in_2d(window, 1)[WRIST, :2], want, atol=1.5 / scale)
        after = in_3d(window, 1)
        wrist = 13  # H36M's left one
        assert np.linalg.norm(after[wrist] - before[wrist]) > 0.1
        assert after[wrist, 2] > before[wrist, 2]  # it was dragged upwards
        window.until(f"return view.canvas.toDataURL() !== {painted!r}")
        assert "window lifted again" in window.run("return document.getElementById('status').textContent")
        keep(window, "fix.png")
        press(window, CONTROL, "z")
        corrections(window, 0)
        np.testing.assert_array_equal(in_3d(window, 1), before)
        press(window, CONTROL, SHIFT, "z")
        corrections(window, 1)
        np.testing.assert_array_equal(in_3d(window, 1), after)
        window.run("document.getElementById('save').click()")
        window.until("return !busy && !state.unsaved")
        assert np.load(tmp_path / "out.npz")["keypoints_coco17"][0, 10, WRIST, 2] == 1
        assert window.complaints() == []
        assert all(address.startswith((server.url.split("?")[0], "data:")) for address in window.requests())


def test_a_long_take_is_shown_at_once_and_placed_after_it(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(chromium, tmp_path) as (window, server):
        drag_joint(window, 1, WRIST, 60, -90)
        corrections(window, 1)
        placed_at_once = in_3d(window, 1)
        press(window, CONTROL, "z")
        corrections(window, 0)
        monkeypatch.setattr(desk_module, "AT_ONCE", 0)
        drag_joint(window, 1, WRIST, 60, -90)
        corrections(window, 1)
        window.until("return !state.provisional")
        assert not server.desk.work.provisional
        np.testing.assert_allclose(in_3d(window, 1), placed_at_once, atol=0.01)


def test_a_click_chooses_and_changes_nothing(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, tmp_path) as (window, server):
        drag_joint(window, 2, WRIST, 1, 0)
        assert window.run("return [chosen, joint]") == [2, WRIST]
        drag_joint(window, 1, WRIST, 0, 0)
        assert window.run("return [chosen, joint, state.corrections.length]") == [1, WRIST, 0]
        assert server.desk.work.corrections == ()


def test_keys_and_buttons(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, tmp_path) as (window, server):
        press(window, RIGHT)
        press(window, SHIFT, RIGHT)
        assert window.run("return frame") == 21
        press(window, "i")
        window.run("show(30)")
        press(window, "o")
        before = in_2d(window, 1)
        press(window, "s")
        corrections(window, 1)
        np.testing.assert_allclose(in_2d(window, 1)[WRIST], before[WRIST + 1], atol=1e-4)
        press(window, "x")
        corrections(window, 2)
        np.testing.assert_allclose(in_2d(window, 2)[WRIST], before[WRIST + 1], atol=1e-4)
        sides, people = server.desk.work.corrections
        assert isinstance(sides, ExchangeSides)
        assert isinstance(people, ExchangePeople)
        assert (sides.from_s, sides.to_s) == (people.from_s, people.to_s) == (21 / 25, 30 / 25)
        window.run("document.querySelector('#people [data-id=\"2\"]').click(); document.getElementById('all').click()")
        press(window, DELETE)
        corrections(window, 3)
        assert window.run("return [seen.length, chosen]") == [1, 1]
        window.run("document.getElementById('right_foot').click()")
        corrections(window, 4)
        assert isinstance(server.desk.work.corrections[-1], FootOnFloor)
        window.run("document.getElementById('pitch').value = 20; document.getElementById('upright').click()")
        corrections(window, 5)
        assert window.run("return state.cameras[0][0]") == pytest.approx(20, abs=0.01)
        drag_joint(window, 1, WRIST, 0, 0)
        press(window, "h")
        corrections(window, 6)
        assert in_2d(window, 1)[WRIST, 2] == 0
        assert window.run("return document.querySelectorAll('#corrections li').length") == 6
        keep(window, "fix_keys.png")
        for _ in range(6):  # without waiting for each
            press(window, CONTROL, "z")
        corrections(window, 0)
        assert server.desk.work.corrections == ()
        assert window.complaints() == []


def test_a_joint_that_was_not_found_is_taken_from_its_ring(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, tmp_path) as (window, server):
        drag_joint(window, 1, WRIST, 0, 0)
        place = on_screen(window, 1, WRIST)
        press(window, "h")
        corrections(window, 1)
        assert in_2d(window, 1)[WRIST, 2] == 0
        ring = window.run(
            "const j = seen[0].missing(frame), box = picture.canvas.getBoundingClientRect();"
            f"return [box.left + (j[{3 * WRIST}] * picture.scale + picture.left) / picture.ratio,"
            f"box.top + (j[{3 * WRIST + 1}] * picture.scale + picture.top) / picture.ratio]"
        )
        assert np.hypot(*np.subtract(ring, place)) < 25  # near where it is in the frame before
        keep(window, "fix_ring.png")
        x, y = (round(v) for v in ring)
        window.actions(
            "pointer",
            {"type": "pointerMove", "duration": 0, "x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "duration": 60, "x": x + 30, "y": y},
            {"type": "pointerUp", "button": 0},
            pointerType="mouse",
        )
        corrections(window, 2)
        now = in_2d(window, 1)[WRIST]
        assert now[2] == 1
        assert np.hypot(*np.subtract(on_screen(window, 1, WRIST), (x + 30, y))) < 3
        assert isinstance(server.desk.work.corrections[-1], MoveJoint)


def test_zoom_and_a_joint_in_it(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, tmp_path) as (window, _):
        before = in_2d(window, 1)[WRIST, :2]
        window.run("const j = seen[0].at(frame); picture.nearer(6, [j[27], j[28]]); picture.aim()")
        drag_joint(window, 1, WRIST, 40, 0)
        corrections(window, 1)
        scale = window.run("return picture.scale / picture.ratio")
        assert in_2d(window, 1)[WRIST, 0] - before[0] == pytest.approx(40 / scale, abs=2 / scale)
        window.run("document.getElementById('whole').click()")
        assert window.run("return picture.zoom") == 1


def test_it_fits_a_phone_and_takes_a_finger(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, tmp_path, 390, 844, ratio=2) as (window, _):
        assert window.run("return document.documentElement.scrollWidth") <= 390
        sizes = window.run(
            "return [...document.querySelectorAll('button:not(li button)')].filter(b => b.offsetParent)"
            ".map(b => Math.min(b.offsetHeight, b.offsetWidth))"
        )
        assert min(sizes) >= 44  # a thumb's width
        assert window.run("return document.getElementById('scrub').getBoundingClientRect().bottom") < 844
        before = in_3d(window, 2)
        drag_joint(window, 2, WRIST, 0, -40, finger=True)
        corrections(window, 1)
        assert np.abs(in_3d(window, 2) - before).max() > 0.05
        keep(window, "fix_phone.png")


def test_a_disk_that_refuses_is_told_and_the_page_shows_what_stands(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Desk, correction: object) -> None:
        raise UserError("The disk is full.")

    with opened(chromium, tmp_path) as (window, _):
        before = in_2d(window, 1)
        monkeypatch.setattr(Desk, "do", refuse)
        drag_joint(window, 1, WRIST, 40, 0)
        window.until("return /The disk is full/.test(document.getElementById('status').textContent)")
        np.testing.assert_array_equal(in_2d(window, 1), before)


def test_a_server_that_has_ended_is_told(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, tmp_path) as (window, server):
        server.__exit__(None, None, None)
        press(window, "s")
        window.until("return /has ended/.test(document.getElementById('status').textContent)")
