"""The page of a clip in a browser: turned by mouse, finger and key, in step with its video, on a phone, in the dark."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers_browser import Browser, browser, browser_here
from numpy.typing import NDArray
from test_exports import scene, walking
from test_report import WICKED, grey_of, render_of

from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import motions
from sasmamba.app.export.report import page
from sasmamba.app.motion.placing import Placement
from sasmamba.models.angles import joint_angles

pytestmark = pytest.mark.skipif(not browser_here(), reason="chromium and its chromedriver are not installed")


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


def test_in_a_browser_on_a_phone_and_in_the_dark(tmp_path: Path, window: Browser) -> None:
    take, placement = scene({i: walking(30) for i in range(1, 6)}, fps=Fraction(30))
    outcome = replace(render_of(take, tmp_path / "clip.mp4"), title="a" * 120)
    window.open(export_motion(take, placement, tmp_path / "clip", ["html"], outcome)[0])
    window.until("return ready")
    for scheme, dark in (("light", False), ("dark", True)):
        with window.screen(360, 740, scheme, ratio=2):
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
                return [...all].filter(e => !(e.getAttribute("aria-label") || e.textContent.trim()
                    || e.closest("label"))).map(e => e.outerHTML)""")
            assert unnamed == []


def contrast(a: str, b: str) -> float:
    """Contrast of two colours, #rrggbb (WCAG 2.2, relative luminance)."""

    def luminance(color: str) -> float:
        parts = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
