"""The page of a clip: parsed by a plain HTML parser, its data against the take, and used in a real browser."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import signal
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers_browser import Browser, browser, browser_here
from helpers_cli import Walker2D, command, left_in, walker_2d
from helpers_video import write_video
from numpy.typing import NDArray
from test_exports import scene, tumbling, walking

from sasmamba.app.config import Job, Settings
from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import Outcome, motions
from sasmamba.app.export.report import findings, page
from sasmamba.app.export.report.plots import lone, shaded, thinned, unwound
from sasmamba.app.io.gif import GifSink
from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.motion.footing import Footing
from sasmamba.app.motion.placing import Placement
from sasmamba.app.pipeline import run
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D
from sasmamba.common.errors import UserError
from sasmamba.models.angles import ANGLES, joint_angles
from sasmamba.models.skeletons import H36M

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


def person_2d(**change: object) -> Person2D:
    """Somebody in the middle of a picture of 640×480, 200 pixels high, every joint found."""
    joints = np.stack([np.linspace(280, 360, 17), np.linspace(140, 340, 17)], 1).astype(np.float32)
    person = Person2D(1, np.array([280, 140, 360, 340], np.float32), joints, np.full(17, 0.9, np.float32))
    return replace(person, **change)  # type: ignore[arg-type]


def all_seen(world: NDArray, person: Person2D | None = None) -> tuple[Take, Placement]:
    take, placement = scene({1: world}, fps=Fraction(30))
    take.tracks[1].people = dict.fromkeys(range(len(world)), person or person_2d())
    take.detection_frames = list(range(take.frames))
    return take, replace(placement, before=Footing(10, 0, 0.5), after=Footing(5, 0, 0.5))


def sitting(frames: int) -> NDArray:
    """Somebody on a chair: thighs level, shanks hanging. `walking` faces +x."""
    world = walking(frames)
    for side in ("LEFT", "RIGHT"):
        hip = world[:, H36M[f"{side}_HIP"]]
        world[:, H36M[f"{side}_KNEE"]] = hip + np.array([0.45, 0, 0])
        world[:, H36M[f"{side}_ANKLE"]] = hip + np.array([0.45, 0, -0.44])
    return world


def cases() -> dict[str, tuple[Take, Placement, str]]:
    low = np.full(17, 0.4, np.float32)
    wrist = np.full(17, 0.9, np.float32)
    wrist[9] = 0.1
    edge = person_2d().joints_px.copy()
    edge[15] = [300, 479]
    gone = all_seen(walking(60))
    for f in range(20, 40):
        del gone[0].tracks[1].people[f]
    tilt = np.radians(40)
    steep = np.array([[1, 0, 0], [0, -np.sin(tilt), np.cos(tilt)], [0, -np.cos(tilt), -np.sin(tilt)]], np.float32)
    fine = all_seen(walking(60))
    return {
        "low scores": (*all_seen(walking(60), person_2d(score=low)), "2D joints are unsure in 100% of the frames"),
        "a lost joint": (*all_seen(walking(60), person_2d(score=wrist)), "left wrist in 100% of the frames"),
        "cropped": (*all_seen(walking(60), person_2d(joints_px=edge)), "cut off by the picture's edge in 100%"),
        "small": (*all_seen(walking(60), person_2d(box_px=np.array([0, 0, 9, 60], np.float32))), "60 pixels high"),
        "gap": (*gone, "not seen in 33% of the frames between the first and the last, at most 0.7 s on end"),
        "brief": (*all_seen(walking(12)), "seen for only 0.4 s (less than 1 s)"),
        "sitting": (*all_seen(sitting(60)), "sits or squats in 100% of the frames"),
        "steep": (fine[0], replace(fine[1], R_world_cam=steep), "The camera looks down by 40° (more than 30°)"),
        "no standing": (fine[0], replace(fine[1], after=Footing(0, 0, 0.02)), "A foot stands in only 2% of the frames"),
        "skating": (fine[0], replace(fine[1], after=Footing(31, 0, 0.5)), "Planted feet slide by 31 cm/s"),
    }


@pytest.mark.parametrize("name", cases())
def test_what_is_warned_of(name: str) -> None:
    take, placement, sentence = cases()[name]
    (found,) = findings.warnings(take, placement, motions(take, placement))
    assert sentence in found


def test_nothing_is_warned_of_without_cause(tmp_path: Path) -> None:
    take, placement = all_seen(walking(60))
    assert findings.warnings(take, placement, motions(take, placement)) == []
    assert "None of the checks found cause to" in written(tmp_path, take, placement).visible


def test_figures_of_an_even_walk() -> None:
    """1.5 m/s along a line, seen in every third frame, and not at all for five detection frames."""
    world = np.repeat(walking(1), 91, 0)
    world[..., 0] += (np.arange(91) * 1.5 / 30)[:, None]
    take, placement = all_seen(world)
    take.pose2d_every, take.detection_frames = 3, list(range(0, 91, 3))
    take.tracks[1].people = {f: person_2d() for f in take.detection_frames if not 30 <= f <= 42}
    (motion,) = motions(take, placement)
    told = findings.figures(take, motion)
    assert (told.seen, told.filled_in, told.missing) == (91 - 17, 17, 0)  # frames 28 to 44
    assert told.longest_gap_s == pytest.approx(17 / 30)
    assert (told.speed_m_s, told.top_m_s, told.path_m) == pytest.approx((1.5, 1.5, 4.5))
    assert (told.score, told.height_px) == pytest.approx((0.9, 200))


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


needs_browser = pytest.mark.skipif(not browser_here(), reason="chromium and its chromedriver are not installed")


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as window:
        yield window


def drawn(window: Browser) -> NDArray:
    """The 3D view's pixels, small, after it has been drawn."""
    return np.array(
        window.run("""
        view.paint();
        const small = document.createElement("canvas");
        small.width = 160; small.height = 90;
        const pen = small.getContext("2d");
        pen.drawImage(document.getElementById("view"), 0, 0, 160, 90);
        return Array.from(pen.getImageData(0, 0, 160, 90).data);
    """)
    ).reshape(90, 160, 4)[..., :3]


def differ(a: NDArray, b: NDArray) -> float:
    """Share of pixels that differ."""
    return float((np.abs(a - b).max(-1) > 24).mean())


@needs_browser
def test_in_a_browser(tmp_path: Path, window: Browser) -> None:
    take, placement = scene({1: walking(60), 2: walking(60) + np.array([0, 1.5, 0])}, fps=Fraction(30))
    outcome = replace(render_of(take, tmp_path / "clip.mp4"), title=WICKED)
    (path,) = export_motion(take, placement, tmp_path / "<i> & 100%#", ["html"], outcome)
    (tmp_path / "clip.mp4").unlink()  # the page holds it
    window.requests(), window.complaints()
    window.open(path)
    window.until("return ready && video && video.readyState >= 3")
    at_first = drawn(window)

    # turning, by mouse, by finger, by key; zoom; away with one person
    window.drag("#view", 120, 0)
    turned = drawn(window)
    assert differ(at_first, turned) > 0.01
    window.drag("#view", -90, 30, finger=True)
    by_finger = drawn(window)
    assert differ(turned, by_finger) > 0.01
    window.run("document.getElementById('view').focus()")
    window.press("\ue012")  # arrow to the left
    by_key = drawn(window)
    assert differ(by_finger, by_key) > 0.002
    window.press("+")
    assert differ(by_key, drawn(window)) > 0.002
    window.press("0")
    assert differ(at_first, drawn(window)) == 0
    window.run("document.querySelector('#people input').click()")
    assert differ(at_first, drawn(window)) > 0.002
    window.run("document.querySelector('#people input').click()")

    # a frame sought is the frame shown, in the video, too: its grey says which
    for frame in (17, 59, 3):
        window.run(
            "const s = document.getElementById('scrub'); s.value = arguments[0];s.dispatchEvent(new Event('input'))",
            frame,
        )
        window.until("return !video.seeking && video.readyState >= 2")
        grey = window.run("""const c = document.createElement("canvas"); c.width = c.height = 8;
            const p = c.getContext("2d"); p.drawImage(video, 0, 0, 8, 8); return p.getImageData(4, 4, 1, 1).data[0]""")
        assert abs(grey - grey_of(frame)) <= 8
        assert window.run("return frame") == frame
        # a plot in view tells its angle there; those out of view are left alone
        angles = [joint_angles(walking(60))[f"{side}_knee_flexion"][frame] for side in ("left", "right")]
        window.run("document.querySelectorAll('figure output')[2].scrollIntoView()")
        window.until(
            "return document.querySelectorAll('figure output')[2].textContent === "
            + json.dumps("left {:.0f}°, right {:.0f}°".format(*angles), ensure_ascii=False)
        )

    # playing moves both, in step, and stops at the end
    still = drawn(window)
    window.press(" ")
    assert window.until("return frame >= 20 ? [frame, Math.floor(video.currentTime * 30 + .01)] : null")
    window.run("stop()")
    shown, played = window.run("show(video.currentTime); return [frame, Math.floor(video.currentTime * 30 + .001)]")
    assert abs(shown - played) <= 1
    assert differ(still, drawn(window)) > 0.005
    window.press(" ")
    window.until("return !playing && frame === 59")

    # a click in a plot goes there
    window.run("document.querySelector('.plot').scrollIntoView({block: 'center'})")
    window.drag(".plot", 0, 0)
    assert abs(window.run("return frame") - 60 * (0.5 - 0.1) / 0.88) <= 1.5

    addresses = window.requests()
    assert addresses[0] == path.resolve().as_uri()
    assert [a for a in addresses[1:] if not a.startswith(("blob:", "data:"))] == []
    assert window.complaints() == []
    assert window.run("return document.title").startswith("</script><script>alert(1)")


@needs_browser
def test_in_a_browser_without_a_whole_video(tmp_path: Path, window: Browser) -> None:
    """The render ends early, lies beside the page, or is missing: the 3D view plays on, by its own clock."""
    take, placement = scene({1: walking(30)}, fps=Fraction(30))
    outcome = render_of(take, tmp_path / "a b#ü.mp4", 10)
    page.write_page(tmp_path / "p.html", take, placement, motions(take, placement), outcome, embed_at_most=10)
    window.complaints()
    window.open(tmp_path / "p.html")
    window.until("return ready && video && video.readyState >= 3")
    window.run("play()")
    window.until("return !playing && frame === 29")
    assert window.complaints() == []
    outcome.render.unlink()  # type: ignore[union-attr]
    window.open(tmp_path / "p.html")
    window.until("return ready && video === null")
    assert "cannot be played" in window.run("return document.getElementById('render-note').textContent")
    begin = time.monotonic()
    window.run("document.getElementById('speed').value = '2'; play()")
    window.until("return !playing && frame === 29")
    assert time.monotonic() - begin > 0.4
    window.complaints()  # the missing file
    take.tracks.clear()
    nobody = Placement(placement.R_world_cam, {}, {}, 60.0)
    window.open(export_motion(take, nobody, tmp_path / "none", ["html"])[0])
    window.until("return ready")
    window.run("play()")
    window.until("return !playing && frame === 29")
    assert window.complaints() == []


@needs_browser
def test_in_a_browser_on_a_phone_and_in_the_dark(tmp_path: Path, window: Browser) -> None:
    take, placement = scene({i: walking(30) for i in range(1, 6)}, fps=Fraction(30))
    outcome = replace(render_of(take, tmp_path / "clip.mp4"), title="a" * 120)
    window.open(export_motion(take, placement, tmp_path / "clip", ["html"], outcome)[0])
    window.until("return ready")
    window.devtools("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
    try:
        for scheme, dark in (("light", False), ("dark", True)):
            window.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            wide = window.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0
            ground = window.picture()[5, 5].mean()
            assert (ground < 60) == dark
            ink, paper, accent = window.run("""const s = getComputedStyle(document.documentElement);
                return ["--dim", "--card", "--accent"].map(n => s.getPropertyValue(n).trim())""")
            assert contrast(ink, paper) >= 4.5
            assert contrast(paper, accent) >= 4.5  # letters on the play button
            for line in window.run("""const s = getComputedStyle(document.documentElement);
                return ["--left", "--right", "--middle"].map(n => s.getPropertyValue(n).trim())"""):
                assert contrast(line, paper) >= 3  # WCAG 2.2, 1.4.11: what is drawn
        unnamed = window.run("""const all = document.querySelectorAll("button, input, select, canvas, video, svg");
            return [...all].filter(e => !(e.getAttribute("aria-label") || e.textContent.trim() || e.closest("label")))
                .map(e => e.outerHTML)""")
        assert unnamed == []
    finally:
        window.devtools("Emulation.clearDeviceMetricsOverride")


def contrast(a: str, b: str) -> float:
    """Contrast of two colours, #rrggbb (WCAG 2.2, relative luminance)."""

    def luminance(color: str) -> float:
        parts = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
