"""The page of a clip: parsed by a plain HTML parser, and its data against the take."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import signal
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers_cli import Walker2D, command, left_in, walker_2d
from helpers_video import write_video
from numpy.typing import NDArray
from test_exports import scene, tumbling, walking

from sasmamba.app.config import Job, Settings
from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import Outcome, motions
from sasmamba.app.export.report import page
from sasmamba.app.export.report.plots import lone, shaded, thinned, unwound
from sasmamba.app.io.gif import GifSink
from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.motion.placing import Placement
from sasmamba.app.pipeline import run
from sasmamba.app.take import Take
from sasmamba.common.errors import UserError
from sasmamba.models.angles import ANGLES, joint_angles

WICKED = "</script><script>alert(1)</script>\"'&<b>\n\u202e.mp4"
VOID = {"meta", "link", "br", "img", "input", "hr"}
#: Attributes whose value a browser asks for, wherever they stand.
ASKING = ("src", "href", "srcset", "poster", "data", "action", "xlink:href")


class Page(HTMLParser):
    """Checks that elements nest, and collects what a test asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.visible = ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        inside = self.elements[-1] if self.elements else ("", {})
        if self.open and self.open[-1] in ("script", "style", "title"):
            key = inside[1].get("id") or self.open[-1]
            self.texts[key] = self.texts.get(key, "") + data
        else:
            self.visible += data

    @property
    def data(self) -> dict:
        return json.loads(self.texts["data"])


def numbers(text: str, dtype: str, shape: tuple[int, ...] = (-1,)) -> NDArray:
    """Whole numbers that were packed: see `data.packed`."""
    size, columns = np.dtype(dtype).itemsize, int(np.prod(shape[1:]))
    parts = np.frombuffer(zlib.decompress(base64.b64decode(text)), "u1").reshape(size, -1)
    steps = np.ascontiguousarray(parts.T).view(dtype).reshape(columns, -1).T
    return np.cumsum(steps, 0, dtype=dtype).reshape(shape)


def seconds(page: Page) -> NDArray:
    """The times of a page's frames."""
    return np.frombuffer(base64.b64decode(page.data["times"]), "<f8")


def grey_of(frame: int) -> int:
    """Grey of a frame; neighbours are far apart, an encoder passes over small steps."""
    return 20 + 37 * frame % 200


def render_of(take: Take, path: Path, frames: int | None = None) -> Outcome:
    """A render in which every frame has a grey of its own, and what a run tells of it."""
    written = take.frames if frames is None else frames
    kind = GifSink if path.suffix == ".gif" else Mp4Sink
    with kind(path, 96, 48, take.meta.fps) as sink:
        for f in range(written):
            sink.write(np.full((48, 96, 3), grey_of(f), np.uint8), take.times_s[f])
    return Outcome("clip.mp4", path, written, "mediapipe", 12.5, {"read": 1.0, "2d": 40.0})


def written(folder: Path, take: Take, placement: Placement, outcome: Outcome | None = None) -> Page:
    (path,) = export_motion(take, placement, folder / "clip", ["html"], outcome)
    return Page(path.read_text(encoding="utf-8"))


def test_the_data_are_the_take_s(tmp_path: Path) -> None:
    people = {1: walking(40), 7: tumbling(40) + np.array([40, 60, 0])}  # far away: 16 bits of millimetres do not reach
    take, placement = scene(people, start=5, gap=range(20, 24))
    told = written(tmp_path, take, placement, render_of(take, tmp_path / "clip.mp4"))
    data = told.data
    np.testing.assert_array_equal(seconds(told), [float(t) for t in take.times_s])
    assert [p["id"] for p in data["people"]] == [1, 7]
    for person, world in zip(data["people"], people.values(), strict=True):
        joints = numbers(person["joints"], "<i2", (-1, 21, 3))
        seen = numbers(person["seen"], "u1")
        missing = np.isin(np.arange(5, 45), range(20, 24))
        assert person["first"] == 5
        assert (joints[missing] == -32768).all()
        np.testing.assert_allclose(
            joints[~missing, :17] * person["unit_m"], world[~missing], atol=0.6 * person["unit_m"]
        )
        assert (joints[~missing][:, 17:, 2] * person["unit_m"] > 0.02).all()  # nobody's feet are in the floor
        assert seen.tolist() == [0 if 20 <= f < 24 else 2 if f % 2 == 0 else 1 for f in range(5, 45)]
        for name, values in joint_angles(world).items():
            found = numbers(person["angles"][name], "<i2")
            known = ~missing & np.isfinite(values)
            np.testing.assert_allclose(found[known] / 10, values[known], atol=0.06)
            assert (found[~known] == -32768).all()
    assert data["people"][0]["unit_m"] == 0.001
    assert data["people"][0]["color"] == "#7fdb8b"
    assert base64.b64decode(told.texts["video-data"]) == (tmp_path / "clip.mp4").read_bytes()


def test_nothing_is_asked_for_and_the_policy_says_so(tmp_path: Path) -> None:
    take, placement = scene({1: walking(20), 2: walking(20)})
    told = written(tmp_path, take, placement, render_of(take, tmp_path / "clip.mp4"))
    asked = [v for _, attrs in told.elements for n, v in attrs.items() if n in ASKING and v]
    assert all(v.startswith(("#", "data:")) for v in asked), asked
    assert "@import" not in told.texts["style"]
    assert "url(" not in told.texts["style"]
    (policy,) = (a["content"] for t, a in told.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    script = base64.b64encode(hashlib.sha256(told.texts["script"].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{script}'; ")
    assert "http" not in policy
    assert len(told.ids) == len(set(told.ids))
    assert sum(t == "svg" for t, _ in told.elements) == 2 * (len(ANGLES) - 1)  # nobody's feet were seen
    assert "Ankle angles: none." in (tmp_path / "clip.html").read_text(encoding="utf-8")
    for tag, attrs in told.elements:
        if tag in ("svg", "canvas", "video"):
            assert attrs.get("aria-label"), tag


def test_a_wicked_name_stays_a_name(tmp_path: Path) -> None:
    take, placement = scene({1: walking(5)})
    placement.assumptions["note"] = WICKED
    outcome = replace(render_of(take, tmp_path / "clip.mp4"), title=WICKED, problems=[f"{WICKED} is damaged."])
    told = written(tmp_path, take, placement, outcome)
    assert sum(t == "script" for t, _ in told.elements) == 3
    assert not any(t == "b" for t, _ in told.elements)
    shown = WICKED.replace("\n", "\\n").replace("\u202e", "\\u202e")
    assert told.texts["title"] == f"{shown} in 3D"
    assert told.visible.count(shown) == 3
    export_motion(take, placement, tmp_path / "lone", ["html"], replace(outcome, title="caf\udce9.mp4"))
    assert "caf\\udce9.mp4" in (tmp_path / "lone.html").read_text(encoding="utf-8")


def test_a_large_render_stays_beside_the_page(tmp_path: Path) -> None:
    take, placement = scene({1: walking(5)})
    outcome = render_of(take, tmp_path / "a b#?&ü.mp4")
    page.write_page(tmp_path / "p.html", take, placement, motions(take, placement), outcome, embed_at_most=10)
    told = Page((tmp_path / "p.html").read_text())
    (video,) = (attrs for tag, attrs in told.elements if tag == "video")
    assert video["src"] == "a%20b%23%3F%26%C3%BC.mp4"
    assert "video-data" not in told.texts
    assert "too large for this page" in told.visible
    gif = replace(render_of(take, tmp_path / "c.gif"), title="c")
    page.write_page(tmp_path / "g.html", take, placement, motions(take, placement), gif, embed_at_most=10)
    assert {"href": "c.gif"} in [a for t, a in Page((tmp_path / "g.html").read_text()).elements if t == "a"]


def test_a_gif_is_a_picture_of_its_own(tmp_path: Path) -> None:
    take, placement = scene({1: walking(5)})
    told = written(tmp_path, take, placement, render_of(take, tmp_path / "clip.gif"))
    (picture,) = (attrs["src"] for tag, attrs in told.elements if tag == "img")
    assert picture is not None
    assert base64.b64decode(picture.removeprefix("data:image/gif;base64,")) == (tmp_path / "clip.gif").read_bytes()
    assert "cannot keep step" in told.visible


def test_a_render_that_was_stopped_and_none(tmp_path: Path) -> None:
    take, placement = scene({1: walking(10)})
    take.cut_short = True
    short = written(tmp_path, take, placement, render_of(take, tmp_path / "clip.mp4", 4))
    assert "the render has 4 of 10 frames" in short.visible
    assert "the page is about the first 10 frames" in short.visible
    none = written(tmp_path, take, placement)
    assert not any(tag == "video" for tag, _ in none.elements)
    assert "There is no render to show." in none.visible


def test_a_full_disk_leaves_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(self: object, out: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    take, placement = scene({1: walking(5)})
    outcome = render_of(take, tmp_path / "clip.mp4")
    monkeypatch.setattr(page._Render, "write_to", full)
    with pytest.raises(UserError, match="the disk is full"):
        export_motion(take, placement, tmp_path / "clip", ["html"], outcome)
    assert left_in(tmp_path) == ["clip.mp4"]


def test_long_curves_keep_their_peaks_and_gaps() -> None:
    t = np.arange(100_000) / 30
    values = np.sin(t)
    values[31_234], values[50_000:60_000] = 77, np.nan
    kept = thinned(values)
    short_t, short = t[kept], values[kept]
    assert len(short) <= 3000
    assert (np.diff(short_t) >= 0).all()
    assert np.nanmax(short) == 77
    assert np.isnan(short[(short_t > t[50_100]) & (short_t < t[59_900])]).all()
    flags = np.zeros(100_000, bool)
    flags[50_000:60_000] = flags[:40_000:3] = True
    ((begin, end),) = shaded(flags)
    assert (begin, end) == pytest.approx((50_000, 60_000), abs=400)
    assert shaded(np.array([1, 1, 0, 1], bool)) == [(0, 2), (3, 4)]
    t, values = unwound(np.arange(4.0), np.array([170, 179, -178, -170.0]))
    assert np.isnan(values).tolist() == [False, False, True, False, False]


def test_single_frames_between_gaps_are_dots() -> None:
    values = np.array([1, np.nan, 2, 3, np.nan, np.nan, 4, np.nan, 5])
    assert lone(values).tolist() == [0, 6, 8]
    assert lone(np.array([1.0])).tolist() == [0]
    assert lone(np.full(3, np.nan)).tolist() == []


def test_one_frame_and_nobody(tmp_path: Path) -> None:
    take, placement = scene({1: walking(1)})
    told = written(tmp_path, take, placement, render_of(take, tmp_path / "clip.mp4"))
    assert len(seconds(told)) == 1
    still = written(tmp_path, take, placement, render_of(take, tmp_path / "clip.gif"))
    assert any(tag == "img" for tag, _ in still.elements)
    take.tracks.clear()
    empty = written(tmp_path, take, Placement(placement.R_world_cam, {}, {}, 60.0), render_of(take, tmp_path / "c.mp4"))
    assert empty.data["people"] == []
    assert "Nobody was found" in empty.visible


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    return write_video(tmp_path / "clip.mp4", 20, size=(320, 240))


def test_the_command_writes_it_beside_the_render(clip: Path) -> None:
    result = command(clip, "--out", clip.with_name("r.mp4"), "--export", "html,csv", "--person", 1, "--json")
    assert result.code == 0, result.err
    names = ["r.mp4", "r.csv", "r_about.json", "r.html"]
    assert [Path(f).name for f in json.loads(result.out)["files"]] == names
    assert left_in(clip.parent) == sorted([*names, "clip.mp4"])
    told = Page(clip.with_name("r.html").read_text())
    assert base64.b64decode(told.texts["video-data"]) == clip.with_name("r.mp4").read_bytes()
    rows = list(csv.DictReader(clip.with_name("r.csv").open()))
    person = told.data["people"][0]
    knee = numbers(person["joints"], "<i2", (-1, 21, 3))[:, 5] * person["unit_m"]
    np.testing.assert_allclose(knee, [[float(r[f"left_knee_{a}_m"]) for a in "xyz"] for r in rows], atol=6e-4)


def test_the_command_with_nobody(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Walker2D, "__call__", lambda self, frame: ())
    result = command(clip, "--out", clip.with_name("r.mp4"), "--export", "bvh,html", "--quiet")
    assert result.code == 0, result.err
    assert left_in(clip.parent) == ["clip.mp4", "r.html", "r.mp4"]
    assert "Nobody was found in clip.mp4;" in Page(clip.with_name("r.html").read_text()).visible


def test_ctrl_c_while_drawing_keeps_a_shorter_render_and_a_page(clip: Path) -> None:
    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "render" and done == 6:
            os.kill(os.getpid(), signal.SIGINT)

    report = run(Job(clip, clip.with_name("r.mp4")), Settings(export=("html",)), progress)
    assert report.interrupted
    assert 6 <= report.written < 20
    told = Page(clip.with_name("r.html").read_text())
    assert f"the render has {report.written} of 20 frames" in told.visible
    assert len(seconds(told)) == 20
