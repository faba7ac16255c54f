"""The page of a clip as it is used: what stays in view, tables, events, comparing, printing, in a real browser."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_browser import Browser, browser, browser_here
from numpy.typing import NDArray
from test_exports import scene, walking
from test_report import render_of

from sasmamba.app.export.contacts import strides
from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import motions
from sasmamba.app.export.report import events
from sasmamba.app.export.report.data import facing
from sasmamba.app.export.report.measure_section import in_figures
from sasmamba.app.motion.angle_range import ranges_of_motion
from sasmamba.app.motion.checks import CheckFinding
from sasmamba.app.motion.measure import Group, Measure, Side, figure
from sasmamba.app.motion.performance import Performance, View, view_of
from sasmamba.app.motion.placing import Placement
from sasmamba.app.motion.steps import steps_of
from sasmamba.app.pose2d.sides import SideRepair
from sasmamba.app.take import Take
from sasmamba.app.types import Cut
from sasmamba.models.angles import ANGLES, joint_angles
from sasmamba.models.skeletons import H36M

pytestmark = pytest.mark.skipif(not browser_here(), reason="chromium and its chromedriver are not installed")

FINDING = CheckFinding("speed", 1, 1.0, 1.5, 20.0, 12.0, "moves too fast", "nobody is so fast")


def walkers(frames: int, people: int = 2) -> tuple[Take, Placement]:
    """People who walk at 30 frames a second; every other one is turned to the left. The left feet rest for half of
    every second."""
    turned = walking(frames) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]]) * 0.9 + np.array([1.5, 1, 0.1])
    worlds = {i: walking(frames) if i % 2 else turned for i in range(1, people + 1)}
    take, placement = scene(worlds, fps=Fraction(30))
    planted = {f: np.array([6 <= f % 30 < 21, False]) for f in range(frames)}
    return take, replace(placement, planted=dict.fromkeys(worlds, planted))


def strides_of(take: Take, placement: Placement, person: int, side: str) -> list[tuple[float, float]]:
    """From a foot's coming down to its next, in frames."""
    motion = next(motion for motion in motions(take, placement) if motion.track_id == person)
    found = strides(steps_of(motion.performance(View())), [])
    fps = float(take.meta.fps)
    return [(fps * stride.from_s, fps * stride.to_s) for stride in found if stride.side == side]


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser(1440, 900) as window:
        yield window


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two people over five seconds, with a cut, a finding and mended sides."""
    tmp_path = tmp_path_factory.mktemp("page")
    take, placement = walkers(150)
    take.cuts = [Cut(75, Fraction(75, 30), "cut")]
    take.side_repairs = [SideRepair(2, ("legs",), 30, 60, 1.0, 2.0)]
    outcome = replace(render_of(take, tmp_path / "clip.mp4"), findings=[FINDING])
    (path,) = export_motion(take, placement, tmp_path / "clip", ["html"], outcome)
    return path


@pytest.fixture
def page(written: Path, window: Browser) -> Path:
    """That page, opened."""
    opened(window, written)
    return written


def opened(window: Browser, path: Path) -> None:
    window.complaints(), window.requests()
    window.open(path)
    window.until("return ready")


def box(window: Browser, element: str) -> dict[str, float]:
    return window.run("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", element)


def saved(window: Browser, folder: Path, kind: str) -> list[dict[str, str]]:
    """What a button saves: its rows."""
    window.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    window.run("document.querySelector(`[data-save=${arguments[0]}]`).click()", kind)
    path, end = folder / f"clip_{kind}.csv", time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} was never saved"
        time.sleep(0.05)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844), (844, 390), (768, 1024)])
def test_the_player_stays_in_view(page: Path, window: Browser, width: int, height: int) -> None:
    with window.screen(width, height):
        opened(window, page)
        for element in (".angles .plots", ".events", ".compare", ".words"):
            window.run("document.querySelector(arguments[0]).scrollIntoView({ block: 'center' })", element)
            stage = box(window, ".stage")
            assert stage["top"] >= -1, element
            assert stage["bottom"] <= height + 1, element
            content = box(window, ".content")
            beside = content["left"] >= stage["right"] - 1
            assert beside == (width > 800)
            assert beside or stage["height"] <= 0.6 * height  # what is read has its place, too
        assert window.run("return document.documentElement.scrollWidth") <= width
        assert window.complaints() == []


def test_one_picture_at_a_time_on_a_phone(page: Path, window: Browser) -> None:
    with window.screen(390, 844):
        opened(window, page)
        for name in ("view", "side", "front", "render"):
            window.run("document.querySelector(`.panes [data-pane=${arguments[0]}]`).click()", name)
            shown = window.run("""return [...document.querySelectorAll(".pane")]
                .filter(pane => pane.getBoundingClientRect().height > 50).map(pane => pane.dataset.pane)""")
            assert shown == [name]
    with window.screen(1440, 900):
        opened(window, page)
        heights = {
            name: box(window, f".pane[data-pane={name}]")["height"] for name in ("render", "view", "side", "front")
        }
        assert min(heights.values()) > 80, heights


def test_which_way_somebody_faces() -> None:
    """`walking` faces along x; turned by a quarter of a turn to the left, along y."""
    for turn in (0, 90, 180, -135):
        a = np.radians(turn)
        R = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        take, placement = scene({1: walking(40) @ R.T}, fps=Fraction(30), gap=range(10, 30))
        (motion,) = motions(take, placement)
        found = np.radians(facing(motion, 30))
        assert np.degrees(np.abs(np.angle(np.exp(1j * (found - a))))).max() < 12


def test_views_from_side_and_front(page: Path, window: Browser) -> None:
    """Whoever it is, and whichever way they face: from the side they face right, from the front left is right."""
    for person in (1, 2):
        window.run(
            "const s = byId('person'); s.value = arguments[0]; s.dispatchEvent(new Event('change')); seek(40)", person
        )
        seen = window.run("""side.paint(); front.paint();
            const j = chosen.at(frame).joints, at = (view, k) => view.project(j[3 * k], j[3 * k + 1], j[3 * k + 2]);
            const { ahead } = chosen.stand(frame), before = [j[0] + Math.cos(ahead), j[1] + Math.sin(ahead), j[2]];
            const [left, right, head] = ["left_hip", "right_hip", "head_top"].map(name => data.joints.indexOf(name));
            return { ahead: side.project(...before)[0] - at(side, 0)[0],
                hips: at(front, left)[0] - at(front, right)[0],
                hips_side: Math.abs(at(side, left)[0] - at(side, right)[0]),
                up: at(side, 0)[1] - at(side, head)[1], m: side.focal / 60, canvas: side.canvas.width }""")
        assert seen["ahead"] == pytest.approx(seen["m"], rel=0.05)  # one metre, to the right
        assert seen["hips"] > max(4 * seen["hips_side"], 0.1 * seen["m"])
        assert seen["up"] > 0.5 * seen["m"]
        pixels = window.run("""const { width, height } = side.canvas;
            return Array.from(side.pen.getImageData(0, 0, width, height).data)
                .filter((v, k) => k % 4 === 2 && v > 240).length""")
        assert pixels > 300  # the right side, which is nearer, is blue


def angle_cells(window: Browser) -> dict[str, list[str]]:
    return window.run("""return Object.fromEntries([...document.querySelectorAll(
        "table[data-table=angle_ranges] tr[data-person='1']")].map(
        row => [row.dataset.series, [...row.querySelectorAll("[data-what]")].map(td => td.textContent)]))""")


def extremes(values: NDArray) -> list[str]:
    four = values.min(), values.max(), np.ptp(values), values.mean()
    return [f"{figure(float(v))}°" for v in four]


def near(found: list[str], expected: list[str]) -> bool:
    """As told, or one degree beside it: the page's angles are rounded to tenths. A range may be told as at most."""
    told = [
        [text.partition(" ±")[0].strip("≈\N{NO-BREAK SPACE}°").replace("−", "-") for text in texts[:4]]
        for texts in (found, expected)
    ]
    pairs = [pair for k, pair in enumerate(zip(*told, strict=True)) if k != 2 or pair[0][0] not in "–≤"]
    return bool(np.abs(np.diff(np.array(pairs, int))).max() <= 1)


def test_the_table_of_angles(page: Path, tmp_path: Path, window: Browser) -> None:
    angles = {name: values for name, values in joint_angles(walking(150)).items() if np.isfinite(values).any()}
    whole = angle_cells(window)
    assert set(whole) == set(angles)
    note = "return document.getElementById('angle-part').hidden"
    assert window.run(note)
    for name, values in angles.items():
        assert near(whole[name], extremes(values)), name
    window.run("seek(30); document.querySelectorAll('#angle-stretch button')[0].click()")
    window.run("seek(60); document.querySelectorAll('#angle-stretch button')[1].click()")
    part = angle_cells(window)
    assert part != whole
    assert not window.run(note)
    for name, values in angles.items():
        assert near(part[name], extremes(values[30:61])), name
        assert part[name][4] == "–"
    rows = saved(window, tmp_path, "angle_ranges")
    assert [(r["from_s"], r["to_s"]) for r in rows] == [("1", "2")] * len(rows)
    knee = next(r for r in rows if r["angle"] == "left_knee_flexion" and r["person"] == "1")
    assert float(knee["max_deg"]) == pytest.approx(angles["left_knee_flexion"][30:61].max(), abs=0.06)
    assert knee["max_half_width_95"] == ""  # of a part it is not known
    window.run("document.querySelectorAll('#angle-stretch button')[2].click()")
    assert angle_cells(window) == whole
    (tmp_path / "whole").mkdir()
    rows = saved(window, tmp_path / "whole", "angle_ranges")
    halves = {r["angle"]: r["range_half_width_95"] for r in rows if r["person"] == "1" and r["range_deg"]}
    assert halves
    assert all(float(half) > 0 for half in halves.values())


def test_every_table_is_saved(page: Path, tmp_path: Path, window: Browser) -> None:
    angles = saved(window, tmp_path, "angles")
    assert len(angles) == 300
    knee = joint_angles(walking(150))["left_knee_flexion"]
    found = [float(r["left_knee_flexion_deg"]) for r in angles if r["person"] == "1"]
    np.testing.assert_allclose(found, knee, atol=0.06)
    people = saved(window, tmp_path, "people")
    assert [r["person"] for r in people] == ["1", "2"]
    happened = saved(window, tmp_path, "events")
    assert {r["kind"] for r in happened} >= {"contact", "presence", "cut", "sides", "check"}
    compared = saved(window, tmp_path, "comparison")
    assert {int(r["percent"]) for r in compared} == set(range(101))
    measured = saved(window, tmp_path, "measures")
    take, placement = walkers(150)
    for motion in motions(take, placement):
        for row in motion.measures(view_of(take, placement, motion.track_id)):
            (same,) = (
                r
                for r in measured
                if (r["person"], r["measure"], r["side"]) == (str(row.person), row.name, row.side)
                and float(r["from_s"]) == pytest.approx(row.from_s, abs=1e-3)
            )
            value = None if same["value"] == "" else float(same["value"])
            assert value == (None if row.value is None else pytest.approx(row.value, abs=1e-3))
            assert same["unit"] == row.unit
            assert same["why_not"] == row.why_not
    assert window.complaints() == []


def test_the_table_of_measures(page: Path, window: Browser) -> None:
    """Every measure of the person chosen has its figures, unit and band, or the reason why there are none."""
    text = window.run("return document.querySelector('.measures .of-person:not([hidden])').innerText")
    take, placement = walkers(150)
    (motion, _) = motions(take, placement)
    for row in motion.measures(view_of(take, placement, 1)):
        if row.group != "range_of_motion":
            assert row.label.lower() in text.lower()
            assert in_figures(row) in text if row.value is not None else row.sentence in text


def test_events_and_times_to_go_to(page: Path, window: Browser) -> None:
    rows = (
        "return [...document.querySelectorAll('#events tbody tr')].map(tr => [...tr.cells].map(td => td.textContent))"
    )
    shown = window.run(rows)
    assert ["0.20 s", "0.47 s", "person 1", "left foot on the ground"] in shown
    assert ["2.50 s", "–", "the video", "a new shot begins"] in shown
    assert ["1.00 s", "0.50 s", "person 1", "moves too fast"] in shown
    assert not any("exchanged" in row[3] for row in shown)  # that is the other person's
    window.run("document.querySelector('#event-kinds input[value=contact]').click()")
    fewer = window.run(rows)
    assert 0 < len(fewer) < len(shown)
    assert not any("on the ground" in row[3] for row in fewer)
    # by keyboard: the focus on a time, and Enter
    window.run("document.querySelector('.warnings .time').focus()")
    window.press("\ue007")
    assert window.run("return frame") == 30


def test_many_events_come_as_they_are_asked_for(tmp_path: Path, window: Browser) -> None:
    take, placement = walkers(1500, people=1)
    opened(window, export_motion(take, placement, tmp_path / "long", ["html"])[0])
    count = "return document.querySelectorAll('#events tbody tr').length"
    assert window.run(count) == 40
    window.run("byId('more-events').click()")
    (motion,) = motions(take, placement)
    walked = {1: steps_of(motion.performance(View()))}
    assert window.run(count) == len(events.events(take, [motion], [], walked)) > 100
    assert window.run("return byId('more-events').hidden")


def over_cycle(values: NDArray, begin: float, end: float) -> NDArray:
    """An angle of frames at 0 to 100 % between two of them."""
    return np.interp(np.linspace(begin, end, 101), np.arange(len(values)), values)


def compared(window: Browser) -> dict[str, dict[str, NDArray]]:
    head, *rows = window.run("return comparison.rows()")
    out: dict[str, dict[str, Any]] = {}
    for row in rows:
        told = dict(zip(head, row, strict=True))
        one = out.setdefault(told["angle"], {name: [] for name in head})
        for name in head:
            one[name].append(told[name])
    numbers = ("first_mean_deg", "first_sd_deg", "second_mean_deg", "second_sd_deg")
    return {
        label: {name: np.array(one[name], float) for name in numbers}
        | {"n": one["first_cycles"], "m": one["second_cycles"]}
        for label, one in out.items()
    }


def label_of(name: str) -> str:
    return next(angle.label for angle in ANGLES if angle.name == name)


def test_two_people_over_a_stride(page: Path, window: Browser) -> None:
    knee = joint_angles(walking(150))
    found = compared(window)[label_of("knee_flexion")]
    cycles = np.stack([over_cycle(knee["left_knee_flexion"], *ends) for ends in strides_of(*walkers(150), 1, "left")])
    np.testing.assert_allclose(found["first_mean_deg"], cycles.mean(0), atol=0.1)
    np.testing.assert_allclose(found["first_sd_deg"], cycles.std(0, ddof=1), atol=0.1)
    assert set(found["n"]) == set(found["m"]) == {len(cycles)}
    # bodies of one shape: the second is as the first
    np.testing.assert_allclose(found["second_mean_deg"], found["first_mean_deg"], atol=0.3)
    # the other side
    window.run("const s = byId('side-b'); s.value = 'right'; s.dispatchEvent(new Event('change'))")
    found = compared(window)[label_of("knee_flexion")]
    cycles = np.stack([over_cycle(knee["right_knee_flexion"], *ends) for ends in strides_of(*walkers(150), 2, "right")])
    np.testing.assert_allclose(found["second_mean_deg"], cycles.mean(0), atol=0.1)
    drawn = window.run("return document.querySelectorAll('#compared-plots svg path.line').length")
    assert drawn == 2 * window.run("return document.querySelectorAll('#compared-rows tr').length") > 10


def test_a_marked_time_is_a_cycle(page: Path, window: Browser) -> None:
    window.run("const c = byId('cycle'); c.value = 'stretch'; c.dispatchEvent(new Event('change'))")
    window.run("""const [from, to] = byId("stretch-a").querySelectorAll("input");
        from.value = "1.00"; to.value = "3.00"; to.dispatchEvent(new Event("change"))""")
    found = compared(window)[label_of("elbow_flexion")]
    elbow = joint_angles(walking(150))["left_elbow_flexion"]
    np.testing.assert_allclose(found["first_mean_deg"], over_cycle(elbow, 30, 90), atol=0.1)
    np.testing.assert_allclose(found["second_mean_deg"], over_cycle(elbow, 0, 149), atol=0.3)
    window.run("""const [from, to] = byId("stretch-a").querySelectorAll("input");
        from.value = "3.00"; to.value = "3.00"; to.dispatchEvent(new Event("change"))""")
    assert "at least 0.1 s" in window.run("return byId('found-a').textContent")


@pytest.mark.parametrize("form", ["json", "html"])
def test_another_take_is_read(page: Path, tmp_path: Path, window: Browser, form: str) -> None:
    world = walking(100)
    take, placement = scene({4: world}, fps=Fraction(20))
    path = export_motion(take, placement, tmp_path / "other", [form])[0]
    window.choose_file("#other", path)
    window.until("return byId('other-note').textContent.includes('one person')")
    assert window.run("return byId('who-b').selectedOptions[0].textContent") == f"Person 4, {path.name}"
    found = compared(window)[label_of("knee_flexion")]
    knee, ends = joint_angles(world)["left_knee_flexion"], strides_of(take, placement, 4, "left")
    np.testing.assert_allclose(found["second_mean_deg"], np.mean([over_cycle(knee, *one) for one in ends], 0), atol=0.1)
    assert set(found["m"]) == {len(ends)}
    assert [a for a in window.requests() if not a.startswith(("file:", "blob:", "data:"))] == []
    assert window.complaints() == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("walk.json", "{", "no motion that is known here"),
        ("walk.json", "[]", "no motion that is known here"),
        ("walk.json", '{"format": "sasmamba-motion/1", "people": []}', "Nobody is in walk.json"),
        ("walk.json", '{"format": "sasmamba-motion/1", "people": [{"frames": [{"time_s": 0}]}]}', "export it again"),
        ("walk.html", "<p>hello</p><script>alert(1)</script>", "no page of a take"),
        ("walk.html", '<script id="data">{"format": "sasmamba-report/1", "people": []}</script>', "another version"),
    ],
)
def test_a_file_that_is_no_take_is_told(
    page: Path, tmp_path: Path, window: Browser, name: str, text: str, told: str
) -> None:
    before = compared(window)
    (tmp_path / name).write_text(text)
    window.choose_file("#other", tmp_path / name)
    window.until(f"return byId('other-note').textContent.includes({json.dumps(told)})")
    assert compared(window).keys() == before.keys()
    assert window.complaints() == []


def many_measures(who: Performance) -> list[Measure]:
    """Twenty of every group, and of every group some that cannot be measured."""

    def one(group: Group, k: int, side: Side, why: str) -> Measure:
        value = None if why else 1.5
        return Measure(who.person, group, f"m{k}", f"Measure {k}", side, value, "m", value, k, k + 1, 9, why)

    groups: list[Group] = ["gait", "jump", "sit_to_stand"]
    sides: list[Side] = ["left", "right", "both"]
    many = [one(group, k, side, "") for group in groups for k in range(20) for side in sides]
    unknown = [one(group, k, "both", f"{group} " + "was not seen " * 9) for group in groups for k in range(20, 30)]
    return [*many, *unknown, *ranges_of_motion(who)]


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page[^s]", pdf))


@pytest.mark.parametrize("people", [1, 6])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_prints_to_two_pages(
    tmp_path: Path, window: Browser, monkeypatch: pytest.MonkeyPatch, people: int, scheme: str
) -> None:
    """However much there is to tell: people, cuts, warnings, findings, measures, reasons why there are none."""
    if people > 1:
        monkeypatch.setattr("sasmamba.app.export.report.page.measures", many_measures)
    take, placement = walkers(90, people=people)
    take.cuts = [Cut(f, Fraction(f, 30), "cut") for f in range(5, 90, 2)]
    long = ["word " * 60] * 30
    outcome = replace(
        render_of(take, tmp_path / "clip.mp4"), title="title " * 40, problems=long, findings=[FINDING] * 40
    )
    (path,) = export_motion(take, placement, tmp_path / "clip", ["html"], outcome)
    for width in (1440, 390):
        with window.screen(width, 844, scheme):
            opened(window, path)
            pdf = window.printed()
            assert pages(pdf) == 2
            assert b"/MediaBox [0 0 594" in pdf  # A4
            assert window.run("return getComputedStyle(document.querySelector('.stage')).position") == "sticky"
            assert window.complaints() == []


def test_who_was_seen_in_part_is_in_the_3d_view(tmp_path: Path, window: Browser) -> None:
    """Legs that were left out have no place: the view shows the rest, and whoever else is there."""
    take, placement = walkers(40)
    take.upper = frozenset({1})
    (path,) = export_motion(take, placement, tmp_path / "clip", ["html"], render_of(take, tmp_path / "clip.mp4"))
    opened(window, path)
    head = window.run("""return people.map(p => { const j = p.at(0).joints, k = 3 * view.head[1];
        view.aim(); const [x, y] = view.project(j[k], j[k + 1], j[k + 2]);
        return x > 0 && x < view.canvas.width && y > 0 && y < view.canvas.height; })""")
    assert head == [True, True]
    assert window.run("return people[0].at(0).joints.some(Number.isNaN)"), "a case in which nothing is unknown"


def test_words_are_plain_and_explained(page: Path, window: Browser) -> None:
    text = window.run("return document.body.innerText")
    assert not re.search(r"(?i)carried|quantile|[-−]0(\.0+)?°|\bNaN\b|\bnull\b|undefined", text)
    unexplained = window.run("""return [...document.querySelectorAll("a.term")]
        .filter(a => !a.title || !document.querySelector(a.getAttribute("href"))).map(a => a.outerHTML)""")
    assert unexplained == []


def test_it_is_used_by_keyboard(page: Path, window: Browser) -> None:
    """Everything that can be clicked is reached by Tab, has a name, and says where the focus is."""
    wanted = window.run("""
        return [...document.querySelectorAll("button, input, select, summary, a[href], [tabindex='0']")]
        .filter(e => e.checkVisibility() && e.tabIndex >= 0).length""")
    window.run("document.activeElement.blur(); window.scrollTo(0, 0); window.reached = new Set()")
    for _ in range(wanted + 5):
        window.press("\ue004")
        window.run("window.reached.add(document.activeElement)")
    assert window.run("window.reached.delete(document.body); return window.reached.size") >= wanted
    window.run("byId('play').focus()")
    assert window.run("return getComputedStyle(byId('play')).outlineStyle") == "solid"
    unnamed = window.run("""return [...document.querySelectorAll("button, input, select, canvas, video, svg, fieldset")]
        .filter(e => !(e.getAttribute("aria-label") || e.querySelector("legend") || e.closest("label")
            || e.textContent.trim()))
        .map(e => e.outerHTML)""")
    assert unnamed == []


def test_heads_are_on_the_shoulders_of_whom_the_page_shows(page: Path, window: Browser) -> None:
    """What is unpacked is what was packed, to the millimetre."""
    joints = np.array(window.run("return [0, 77, 149].map(f => people[0].at(f).joints)"), float).reshape(3, 21, 3)
    np.testing.assert_allclose(joints[:, H36M.HEAD_TOP], walking(150)[[0, 77, 149], H36M.HEAD_TOP], atol=6e-4)
