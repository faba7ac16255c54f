"""PoseTrack's average precision, against cases worked out by hand and a slow count of its definition."""

from __future__ import annotations

import numpy as np
import pytest

from sasmamba.models.skeletons import POSETRACK
from sasmamba.training.pose_ap import FrameResult, PredictedPose, area, average_precision, head_size
from sasmamba.training.posetrack import Person

#: A head of 30 × 40: its size is 0.6 · 50 = 30, so a joint is right within 15 pixels.
HEAD = np.array([0, 0, 30, 40], np.float32)
RNG = np.random.default_rng(0)


def person(at: float = 0.0, without: tuple[int, ...] = (), hidden: tuple[int, ...] = ()) -> Person:
    joints = np.stack([at + 50.0 * np.arange(15), np.full(15, 100.0)], 1).astype(np.float32)
    labelled = ~np.isin(np.arange(15), without)
    return Person(0, np.array([0, 0, 9, 9], np.float32), HEAD, joints, labelled, labelled & ~np.isin(range(15), hidden))


def pose(like: Person, off: float | dict[int, float] = 0.0, score: float = 1.0, absent: tuple[int, ...] = ()):  # type: ignore[no-untyped-def]
    joints = like.joints_px.copy()
    for j in range(15):
        joints[j, 1] += off.get(j, 0.0) if isinstance(off, dict) else off
    joints[list(absent)] = np.nan
    return PredictedPose(joints, np.full(15, score, np.float32))


def ap(*frames: FrameResult, **kind: bool) -> dict[str, float]:
    return average_precision(list(frames), **kind)


def test_head_size() -> None:
    assert head_size(HEAD) == pytest.approx(30)


@pytest.mark.parametrize(
    ("right", "wanted", "expected"),
    [
        ([1], 1, 1),
        ([0], 1, 0),
        ([], 2, 0),
        ([1], 2, 0.5),
        ([1, 0, 1], 2, 0.5 * 1 + 0.5 * 2 / 3),  # precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1
        ([0, 1, 1], 2, 2 / 3),  # 0, 1/2, 2/3: made monotonous, 2/3 everywhere
        ([0, 1], 4, 0.25 * 0.5),
    ],
)
def test_area(right: list[int], wanted: int, expected: float) -> None:
    score = -np.arange(len(right), dtype=np.float32)
    assert area(score, np.array(right, bool), wanted) == pytest.approx(expected)
    mixed = RNG.permutation(len(right))  # the order is the scores', not the list's
    assert area(score[mixed], np.array(right, bool)[mixed], wanted) == pytest.approx(expected)


def test_within_half_a_head() -> None:
    who = person()
    told = ap(FrameResult((who,), (pose(who, {0: 15.0, 1: 15.1, 2: -14.9}),)))
    assert [told[j] for j in ("nose", "head_bottom", "head_top")] == [100, 0, 100]
    assert told["head"] == pytest.approx(200 / 3)
    assert told["mean"] == pytest.approx(100 * 14 / 15)
    assert told["wrist"] == 100


def test_two_people_and_a_stranger() -> None:
    """Two people far apart, both found; a third pose of nobody with a score between theirs."""
    a, b = person(0), person(2000)
    stranger = pose(person(5000), score=0.7)
    told = ap(FrameResult((a, b), (pose(a, score=0.9), stranger, pose(b, score=0.5))))
    # sorted: right, wrong, right: 1/2 · 1 + 1/2 · 2/3
    assert told["mean"] == pytest.approx(100 * (0.5 + 1 / 3))


def test_of_two_poses_of_one_person_the_better_counts() -> None:
    a = person()
    worse = pose(a, {0: 99.0}, score=0.9)  # 14 of 15 right, the higher score
    told = ap(FrameResult((a,), (worse, pose(a, score=0.5))))
    # every joint: wrong at 0.9, right at 0.5
    assert told["mean"] == pytest.approx(50)


def test_a_pose_belongs_to_one_person_only() -> None:
    """One pose on two people who stand in the same place: the second is missed."""
    a = person()
    assert ap(FrameResult((a, person()), (pose(a),)))["mean"] == pytest.approx(50)


def test_joints_that_are_not_labelled_or_hidden_or_absent() -> None:
    who = person(without=(0,), hidden=(1,))
    found = FrameResult((who,), (pose(who, absent=(2,)),))
    told = ap(found)
    assert np.isnan(told["nose"])  # nothing to find
    assert np.isnan(told["head_bottom"])
    assert told["head_top"] == 0  # nothing found
    assert told["mean"] == pytest.approx(100 * 12 / 13)
    everything = ap(found, visible_only=False)
    assert everything["head_bottom"] == 100
    assert everything["mean"] == pytest.approx(100 * 13 / 14)


def test_a_joint_its_person_does_not_have_is_wrong() -> None:
    a, b = person(without=(0,)), person(0)
    told = ap(FrameResult((a,), (pose(a, score=0.9),)), FrameResult((b,), (pose(b, score=0.5),)))
    assert told["nose"] == pytest.approx(50)
    assert told["left_knee"] == 100


def test_frames_without_people_are_not_looked_at_and_missed_people_count() -> None:
    a = person()
    told = ap(FrameResult((), (pose(a),)), FrameResult((a,), ()), FrameResult((a,), (pose(a),)))
    assert told["mean"] == pytest.approx(50)


def test_regions_to_ignore() -> None:
    a = person()
    square = np.array([[-20, 0], [20, 0], [20, 200], [-20, 200]], np.float32)  # around joint 0 alone
    told = ap(FrameResult((a,), (pose(a),), (square,)))
    assert np.isnan(told["nose"])
    assert told["mean"] == 100
    stranger = pose(person(), score=2.0)
    again = ap(FrameResult((person(3000),), (stranger, pose(person(3000))), (square,)))
    assert again["nose"] == 100  # the stranger's lies in the region
    assert again["head_bottom"] == 50


def test_needs_heads() -> None:
    a = person()
    nameless = Person(a.track_id, a.box_px, None, a.joints_px, a.labelled, a.visible)
    with pytest.raises(ValueError, match="box around every head"):
        ap(FrameResult((nameless,), (pose(a),)))


def test_against_a_slow_count() -> None:
    """Random people and poses; the definition in plain loops, precision's best read off at every recall."""
    frames = [_random_frame() for _ in range(40)]
    told = ap(*frames)
    assert 5 < told["mean"] < 95  # neither everything nor nothing is right
    for joint in POSETRACK:
        events, wanted = [], 0
        for f in frames:
            wanted += sum(bool(p.visible[joint]) for p in f.people)
            owner = _owners_slowly(f)
            for i, q in enumerate(f.poses):
                if f.people and np.isfinite(q.joints_px[joint]).all():
                    ok = owner[i] is not None and _right(f.people[owner[i]], q, joint)
                    events.append((float(q.score[joint]), ok))
        events.sort(reverse=True)
        curve = [
            (sum(ok for _, ok in events[:n]) / wanted, sum(ok for _, ok in events[:n]) / n)
            for n in range(1, len(events) + 1)
        ]
        expected = 0.0
        for k in range(1, wanted + 1):  # each one that could be found adds the best precision of those who find so many
            expected += max((p for r, p in curve if r >= k / wanted - 1e-9), default=0.0) / wanted
        assert told[joint.name.lower()] == pytest.approx(100 * expected), joint


def _random_frame() -> FrameResult:
    def some() -> Person:
        joints = RNG.uniform(0, 60, (15, 2)).astype(np.float32)
        labelled = RNG.random(15) < 0.8
        size = RNG.uniform(10, 40, 2)
        return Person(0, HEAD, np.array([0, 0, *size], np.float32), joints, labelled, labelled & (RNG.random(15) < 0.9))

    people = tuple(some() for _ in range(RNG.integers(0, 4)))
    poses = []
    for _ in range(RNG.integers(0, 5)):
        base = people[RNG.integers(len(people))].joints_px if people else np.zeros((15, 2))
        joints = (base + RNG.normal(0, 8, (15, 2))).astype(np.float32)
        joints[RNG.random(15) < 0.1] = np.nan
        poses.append(PredictedPose(joints, RNG.random(15).astype(np.float32)))
    return FrameResult(people, tuple(poses))


def _right(who: Person, q: PredictedPose, joint: int) -> bool:
    assert who.head_px is not None
    reach = 0.5 * 0.6 * float(np.hypot(who.head_px[2], who.head_px[3]))
    return bool(who.visible[joint] and np.linalg.norm(who.joints_px[joint] - q.joints_px[joint]) <= reach)


def _owners_slowly(f: FrameResult) -> list[int | None]:
    share = {
        (i, k): sum(_right(p, q, j) for j in range(15)) / max(1, p.visible.sum())
        for i, q in enumerate(f.poses)
        for k, p in enumerate(f.people)
    }
    owner: list[int | None] = [None] * len(f.poses)
    if not f.people:
        return owner
    best = [max(range(len(f.people)), key=lambda k: (share[i, k], -k)) for i in range(len(f.poses))]
    for k in range(len(f.people)):
        suitors = [i for i in range(len(f.poses)) if best[i] == k and share[i, k] > 0]
        if suitors:
            owner[max(suitors, key=lambda i: (share[i, k], -i))] = k
    return owner
