"""Self-checks: each failure is found by its own check alone, with its times; nothing is found where all is well."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers_cli import command, walker_2d
from helpers_performance import walker_of
from helpers_video import write_video
from test_exports import scene, walking
from test_report import written

from sasmamba.app.export.motion_table import Outcome
from sasmamba.app.motion.axes import R_WORLD_CAM
from sasmamba.app.motion.body_checks import CHECKS
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_watch import CameraWatch
from sasmamba.app.motion.checks import CheckFinding, grouped, sentences
from sasmamba.app.motion.looking import lines_of_sight, pictured
from sasmamba.app.motion.placing import Placement
from sasmamba.app.motion.self_checks import kinds, self_checks
from sasmamba.app.motion.shot import ShotCamera
from sasmamba.app.pose2d.sides import SideRepair
from sasmamba.app.take import Take
from sasmamba.app.types import Cut, Frame, Person2D, VideoMeta
from sasmamba.models.skeletons import COCO, COCO_MIRROR, H36M

FPS, HEIGHT_M, FOCAL_PX = 30, 1.3, 600.0


def well() -> tuple[Take, Placement]:
    """Somebody who walks past a camera 1.3 m above the floor, 5 m away, for 6 s, seen without an error."""
    world = walker_of((0.6, 0.6), (0.55, 0.55), fps=FPS)[1][: 6 * FPS]
    world[..., 1] += 5
    take, placement = scene({1: world}, fps=Fraction(FPS))
    lens = {"fx_px": FOCAL_PX, "fy_px": FOCAL_PX, "cx_px": 320.0, "cy_px": 240.0}
    camera = {**lens, "fov_deg": 56.1, "given": True, "moves": False}
    shot = ShotCamera(range(take.frames), R_WORLD_CAM, HEIGHT_M, 0, 0, 0)
    placement = replace(placement, assumptions={"camera": camera, "people": {}}, shots=(shot,))
    pixels = (world - [0, 0, HEIGHT_M]) @ R_WORLD_CAM
    pixels = pixels[..., :2] / pixels[..., 2:] * FOCAL_PX + [320, 240]
    for f, points in enumerate(pixels):
        joints = np.array([points[H36M[j.name] if j.name in H36M.__members__ else H36M.NOSE] for j in COCO], np.float32)
        box = np.concatenate([joints.min(0), joints.max(0)])
        take.tracks[1].people[f] = Person2D(1, box, joints, np.full(17, 0.9, np.float32))
    placement.planted[1] = {f: np.array([True, False]) for f in range(take.frames)}
    placement.floor_m[1] = dict.fromkeys(range(take.frames), 0.0)
    return take, placement


Spoil = Callable[[Take, Placement], None]


def moved(change: Callable[[np.ndarray], np.ndarray], planted: bool = True) -> Spoil:
    """Changes the path (F, 3) of the pelvis, and what is seen with it."""

    def spoil(take: Take, placement: Placement) -> None:
        roots = placement.roots[1]
        path = change(np.stack([roots[f] for f in sorted(roots)]))
        for f, at in zip(sorted(roots), path, strict=True):
            roots[f] = at.astype(np.float32)
            placement.planted[1][f] = np.full(2, planted)
        looked = pictured(take, placement, 1)
        assert looked is not None
        for f, points in zip(*looked, strict=True):
            joints = take.tracks[1].people[f].joints_px.copy()
            for joint in COCO:
                if joint.name in H36M.__members__:
                    joints[joint] = points[H36M[joint.name]]
            take.tracks[1].people[f] = replace(take.tracks[1].people[f], joints_px=joints)

    return spoil


def posed(joint: str, change: Callable[[np.ndarray, np.ndarray, float], np.ndarray]) -> Spoil:
    """Changes where a joint of both sides is by where its parent is, and the time, in the camera's axes."""
    parent = {"ANKLE": "KNEE", "ELBOW": "SHOULDER", "WRIST": "ELBOW"}[joint]

    def spoil(take: Take, placement: Placement) -> None:
        for f, pose in placement.poses[1].items():
            joints = pose.joints.copy()
            for side in ("LEFT", "RIGHT"):
                end, begin = H36M[f"{side}_{joint}"], H36M[f"{side}_{parent}"]
                joints[end] = change(joints[end], joints[begin], float(take.times_s[f]))
            placement.poses[1][f] = replace(pose, joints=joints)

    return spoil


def hanging(take: Take, placement: Placement) -> None:
    """On the head, which is 0.7 m from the pelvis where the soles are 0.95 m."""
    for f, pose in placement.poses[1].items():
        placement.poses[1][f] = replace(pose, joints=pose.joints * np.float32([-1, -1, 1]))
    moved(lambda p: p - np.array([0, 0, 0.25]), planted=False)(take, placement)


def turned(end: np.ndarray, begin: np.ndarray, time: float) -> np.ndarray:
    if not 2 < time < 4:
        return end
    c, s = np.cos(np.radians(60)), np.sin(np.radians(60))
    return begin + np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ (end - begin)


def timed(factor: Fraction) -> Spoil:
    def spoil(take: Take, placement: Placement) -> None:
        take.times_s = [t * factor for t in take.times_s]

    return spoil


def run_twice_as_fast(take: Take, placement: Placement) -> None:
    """Without a time in which both feet are on the floor, three steps a second and twice that."""
    running = walking(6 * FPS)
    for f, pose in placement.poses[1].items():
        joints = (running[f] - running[f, :1]) @ R_WORLD_CAM
        placement.poses[1][f] = replace(pose, joints=joints.astype(np.float32))
        take.tracks[1].people[f] = replace(take.tracks[1].people[f], score=np.zeros(17, np.float32))
    timed(Fraction(3, 10))(take, placement)


def seen(change: Callable[[int, Person2D], Person2D]) -> Spoil:
    def spoil(take: Take, placement: Placement) -> None:
        people = take.tracks[1].people
        take.tracks[1].people = {f: change(f, person) for f, person in people.items()}

    return spoil


def small(f: int, person: Person2D) -> Person2D:
    return replace(person, box_px=np.array([300, 200, 320, 255], np.float32))


def somebody_else(f: int, person: Person2D) -> Person2D:
    return replace(person, joints_px=person.joints_px + np.float32([300 * (f >= 90), 0]))


def exchanged(take: Take, placement: Placement) -> None:
    take.side_repairs = [SideRepair(1, ("legs",), 20 * k, 20 * k + 4, 20 * k / 30, (20 * k + 4) / 30) for k in range(9)]


def cut(take: Take, placement: Placement) -> None:
    take.cuts_passed_over = [Cut(90, take.times_s[90])]


def panned(take: Take, placement: Placement) -> None:
    take.camera_strayed = {f: 0.0 if f < 90 else 0.05 for f in range(0, 180, 6)}


def ramp(path: np.ndarray, speed: float, axis: int) -> np.ndarray:
    return path + speed * np.arange(len(path))[:, None] / FPS * np.eye(3)[axis]


def slow_jump(path: np.ndarray) -> np.ndarray:
    """From 2 to 4 s an arc of 0.5 m, which bodies take 0.64 s for."""
    air = (np.arange(len(path)) / FPS - 2).clip(0, 2)
    return path + (0.5 * air * (2 - air))[:, None] * np.eye(3)[2]


def nothing(take: Take, placement: Placement) -> None:
    pass


def both_arms_as_one(take: Take, placement: Placement) -> None:
    """The 2D has put both arms on the left one, and neither points there."""
    posed("ELBOW", turned)(take, placement)

    def one_arm(f: int, person: Person2D) -> Person2D:
        joints = person.joints_px.copy()
        for joint in (COCO.RIGHT_SHOULDER, COCO.RIGHT_ELBOW, COCO.RIGHT_WRIST):
            joints[joint] = joints[COCO_MIRROR[joint]] + np.float32([3, 0])
        return replace(person, joints_px=joints)

    seen(one_arm)(take, placement)


def slip(take: Take, placement: Placement) -> None:
    """For a third of a second one elbow is seen beside where it is."""

    def slipped(f: int, person: Person2D) -> Person2D:
        joints = person.joints_px.copy()
        joints[COCO.LEFT_ELBOW] += np.float32([40, 0]) * (60 <= f < 70)
        return replace(person, joints_px=joints)

    seen(slipped)(take, placement)


FAILURES: dict[str, tuple[Spoil, set[str], tuple[float, float]]] = {
    "nothing": (nothing, set(), (0, 0)),
    "runs": (moved(lambda p: ramp(p, 6, 1)), set(), (0, 0)),
    "faster than anybody": (moved(lambda p: ramp(p, 14, 1)), {"speed"}, (0, 6)),
    "turns at once": (
        moved(lambda p: p + 6 * np.abs(np.arange(len(p)) - 90)[:, None] / FPS * np.eye(3)[1]),
        {"acceleration"},
        (3, 3),
    ),
    "floats": (moved(lambda p: p + np.array([0, 0, 0.5]), planted=False), {"floating"}, (0, 6)),
    "is lifted": (moved(lambda p: ramp(p, 0.5, 2), planted=False), {"floating"}, (0, 6)),
    "flies in slow motion": (moved(slow_jump, planted=False), {"slow_flight"}, (2, 4)),
    "in the ground": (moved(lambda p: p - np.array([0, 0, 0.5])), {"sunk"}, (0, 6)),
    "hangs": (hanging, {"upside_down"}, (0, 6)),
    "arms elsewhere": (posed("ELBOW", turned), {"limb_direction"}, (2, 4)),
    "arms elsewhere, seen from the side": (both_arms_as_one, {"limb_direction"}, (2, 4)),
    "a detector's slip": (slip, set(), (0, 0)),
    "hands like shots": (
        posed("WRIST", lambda end, begin, t: end + np.array([0, 0, 0.9 * np.sin(50 * t)], np.float32)),
        {"limb_speed", "bones"},
        (0, 6),
    ),
    "half shanks": (posed("ANKLE", lambda end, begin, t: begin + 0.5 * (end - begin)), {"bones"}, (0, 6)),
    "sides exchanged": (exchanged, {"sides"}, (0, 6)),
    "somebody else": (seen(somebody_else), {"identity", "limb_direction"}, (3, 3)),
    "over a cut": (cut, {"identity_over_cut"}, (3, 3)),
    "a pan": (panned, {"camera"}, (3, 5.8)),
    "half the speed": (timed(Fraction(2)), {"slow_motion"}, (0, 12)),
    "twice the speed": (timed(Fraction(1, 2)), {"fast_motion"}, (0, 3)),
    "a run at twice the speed": (run_twice_as_fast, {"fast_run", "limb_speed", "acceleration"}, (0, 2)),
    "small": (seen(small), {"small"}, (0, 6)),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_found_by_its_check_with_its_times(name: str) -> None:
    spoil, wanted, (begin, end) = FAILURES[name]
    take, placement = well()
    spoil(take, placement)
    found = self_checks(take, placement)
    assert {finding.kind for finding in found} <= wanted
    assert bool(found) == bool(wanted)
    slack = 0.1 * max(end - begin, 4)
    for finding in found[:1]:
        assert begin - slack <= finding.from_s <= finding.to_s <= end + slack
        assert finding.person == (None if finding.kind == "camera" else 1)
    for finding in found:
        outside = finding.value < finding.threshold if finding.kind in ("small", "fast_motion", "fast_run") else None
        assert finding.value > finding.threshold if outside is None else outside
        assert "{" not in finding.sentence
        assert json.loads(json.dumps(finding.plain()))["sentence"] == finding.sentence


def test_every_check_is_tried_and_has_a_name_of_its_own() -> None:
    tried = set().union(*(wanted for _, wanted, _ in FAILURES.values()))
    assert tried == set(kinds())
    assert len(kinds()) == len(set(kinds()))


def test_who_is_put_somewhere_by_a_guess_is_not_checked_for_where_they_are() -> None:
    take, placement = well()
    FAILURES["in the ground"][0](take, placement)
    placement.assumptions["people"]["1"] = {"place": "guessed"}
    assert not self_checks(take, placement)


def test_what_lasts_for_all_of_a_short_clip_is_found_there() -> None:
    time = np.arange(40) / 30
    rule = next(check.rule for check in CHECKS if check.rule.kind == "upside_down")
    assert rule.at_least_s > time[-1]
    assert len(rule.findings(1, time, np.full(40, 70.0))) == 1
    assert not rule.findings(1, time, np.where(time < 0.9, 70.0, 0.0))


@pytest.mark.parametrize("failure", ["floats", "in the ground", "half shanks"])
def test_nothing_is_found_of_legs_that_are_left_out(failure: str) -> None:
    take, placement = well()
    take.upper = frozenset({1})
    FAILURES[failure][0](take, placement)
    assert not self_checks(take, placement)


def test_an_empty_take_has_no_findings() -> None:
    take = Take(VideoMeta(64, 48, Fraction(30), 1), "none", times_s=[Fraction(0)])
    assert not self_checks(take, Placement(R_WORLD_CAM, {}, {}, 60.0))


def test_spans_of_a_kind_are_one_sentence_with_the_worst_of_them() -> None:
    of = [CheckFinding("speed", 1, t, t + 0.5, 12 + t, 11, f"moves at {12 + t} m/s", "why") for t in range(5)]
    other = CheckFinding("small", 2, 0, 1, 40, 60, "is 40 pixels high", "why")
    assert [len(group) for group in grouped([*of[:2], other, *of[2:]])] == [5, 1]
    told = sentences([*of, other])
    assert told[0] == "Person 1 moves at 16 m/s (0.0–0.5 s, 1.0–1.5 s, 2.0–2.5 s and 2 times more): why"
    assert told[1] == "Person 2 is 40 pixels high (0.0–1.0 s): why"


def test_placed_joints_fall_where_they_were_seen() -> None:
    take, placement = well()
    looked = pictured(take, placement, 1)
    assert looked is not None
    for f, points in zip(*looked, strict=True):
        knee = take.tracks[1].people[f].joints_px[COCO.LEFT_KNEE]
        assert points[H36M.LEFT_KNEE] == pytest.approx(knee, abs=0.01)
    frames, world = placement.world(1)
    sight = lines_of_sight(placement, frames, world[:, 0])
    away = world[:, 0] - np.array([0, 0, HEIGHT_M])
    assert sight == pytest.approx(away / np.linalg.norm(away, axis=1)[:, None])


@pytest.mark.parametrize(("px_per_s", "strays"), [(0, False), (40, True)])
def test_a_camera_that_is_said_to_be_still_is_looked_at_now_and_then(px_per_s: float, strays: bool) -> None:
    rng = np.random.default_rng(0)
    meta = VideoMeta(320, 240, Fraction(30), 60)
    big = np.repeat(np.repeat(rng.integers(0, 255, (80, 160, 1), np.uint8), 8, 0), 8, 1)
    big = np.repeat(big, 3, 2)
    with CameraWatch(meta, Intrinsics.assumed(meta, 60), glimpses=True) as watch:
        for f in range(60):
            x = round(px_per_s * f / 30)
            watch.see(Frame(f, Fraction(f, 30), np.ascontiguousarray(big[100:340, x : x + 320])), [])
        strayed = watch.strayed([range(60)])
    assert {0, 54} <= set(strayed) <= set(range(0, 60, 6))
    assert strayed[0] == 0
    assert strayed[54] == pytest.approx(px_per_s * 54 / 30 / 320, rel=0.1, abs=1e-3)
    assert (max(strayed.values()) > 0.01) == strays


def test_the_page_lists_findings_with_times_to_go_to(tmp_path: Path) -> None:
    take, placement = well()
    FAILURES["arms elsewhere"][0](take, placement)
    found = self_checks(take, placement)
    page = written(tmp_path, take, placement, Outcome("clip.mp4", findings=found))
    buttons = [given["data-seek"] for tag, given in page.elements if tag == "button" and "data-seek" in given]
    times = np.array([float(seek or "") for seek in buttons])  # events of walking have theirs, too
    assert found
    assert all(np.abs(times - finding.from_s).min() < 1e-5 for finding in found)
    assert "has a limb that points" in page.visible
    clean = written(tmp_path, *well(), Outcome("clip.mp4"))
    assert "has a limb that points" not in clean.visible


@pytest.mark.parametrize("wrong", [False, True])
def test_strict_ends_with_three_and_json_has_the_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    one = CheckFinding("speed", 1, 0.0, 0.5, 15.0, 11.0, "moves at 15 m/s (more than 11 m/s)", "why")
    monkeypatch.setattr("sasmamba.app.pipeline.self_checks", lambda *_: [one] if wrong else [])
    video = write_video(tmp_path / "clip.mp4", 20, size=(96, 64))
    told = command(video, "--out", tmp_path / "r.gif", "--height", 64, "--strict", "--json")
    assert told.code == (3 if wrong else 0)
    assert (tmp_path / "r.gif").exists()
    findings = json.loads(told.out)["findings"]
    assert len(findings) == int(wrong)
    if wrong:
        wanted = {"kind", "person", "from_s", "to_s", "value", "threshold", "told", "reason", "sentence"}
        assert set(findings[0]) == wanted
    lax = command(video, "--out", tmp_path / "r.gif", "--height", 64)
    assert lax.code == 0
    assert ("moves at 15 m/s" in lax.err) == wrong
    assert ("speed 1×" if wrong else "nothing implausible") in lax.out
