"""Tracking: synthetic people on known paths; the identity of each must stay with its path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from zlib import crc32

import numpy as np
import pytest
from helpers_crossings import (
    HUGS,
    RETURNS,
    WRONG_FOLLOWERS,
    Shot,
    figure,
    hug,
    leaves_and_returns,
    resampled_walk,
    wrong_follower,
)

from sasmamba.app.tracking import Tracker, best_pairs
from sasmamba.app.types import Frame, Person2D
from sasmamba.models.skeletons import COCO

GREY = np.full((1000, 1200, 3), 118, np.uint8)


def person(x: float, y: float = 500, height: float = 300, *, score: float = 0.9, seed: int | None = None) -> Person2D:
    rng = None if seed is None else np.random.default_rng(seed)
    return figure(x, y, height, rng=rng, score=score)


def frame(index: int, fps: int = 30) -> Frame:
    return Frame(index, Fraction(index, fps), GREY)


def who_is_where(tracker: Tracker, frames: list[dict[str, float]]) -> dict[str, Counter]:
    """Runs named people along x positions; for each name, how often it got which identity."""
    got: dict[str, Counter] = {}
    for index, people in enumerate(frames):
        order = sorted(people, key=lambda name: crc32(f"{index} {name}".encode()))  # the order must not matter
        at = {name: person(people[name], seed=crc32(f"{name} {index}".encode())) for name in order}
        out = tracker.update(frame(index), tuple(at.values()))
        for name, p in at.items():
            (match,) = [q for q in out if np.array_equal(q.joints_px, p.joints_px)]
            got.setdefault(name, Counter())[match.track_id] += 1
    return got


def test_two_who_pass_each_other_in_full_view() -> None:
    frames = [{"right": 100 + 8 * t, "left": 900 - 8 * t} for t in range(100)]
    got = who_is_where(Tracker(), frames)
    assert len(got["right"]) == len(got["left"]) == 1
    assert got["right"] != got["left"]


@pytest.mark.parametrize("front", ["right", "left"])
def test_two_who_pass_and_one_hides_the_other(front: str) -> None:
    behind = {"right": "left", "left": "right"}[front]
    frames = [{"right": 100 + 8 * t, "left": 900 - 8 * t} for t in range(100)]
    for t in range(44, 57):
        del frames[t][behind]
    got = who_is_where(Tracker(), frames)
    assert got["right"].most_common(1)[0][1] == sum("right" in f for f in frames)
    assert got["left"].most_common(1)[0][1] == sum("left" in f for f in frames)


def test_who_hid_somebody_is_not_taken_for_who_left_long_ago() -> None:
    """One stays behind another for good, who walks on to where a third stood, past two bystanders."""
    frames: list[dict[str, float]] = []
    for t in range(90):
        seen = {"walks": 260.0 + 6 * max(0, t - 20), "stands": 900.0, "waits": 1050.0}
        if t < 21:
            seen |= {"hides": 100 + 5 * t, "leaves": 640}
        frames.append(seen)
    got = who_is_where(Tracker(), frames)
    assert [len(got[name]) for name in ("walks", "stands", "waits")] == [1, 1, 1]


def test_a_detector_that_follows_the_wrong_one_out_of_a_crossing() -> None:
    """In the middle only one person is seen, who turns round with the other: the paths before must decide."""
    tracker = Tracker()
    ids: dict[int, list[int]] = {}
    for t in range(100):
        right, left = 100 + 8 * t, 900 - 8 * t
        seen = [right, left]
        if 46 <= t < 56:
            seen = [right] if t < 50 else [left]
        out = tracker.update(frame(t), tuple(person(x) for x in seen))
        ids[t] = [next(p.track_id for p in out if abs(p.joints_px[0, 0] - x) < 1) for x in seen]
    assert ids[99] == ids[0]


@pytest.mark.parametrize(("gap", "same"), [(0, True), (10, True), (30, True), (31, False)])
def test_absence(gap: int, same: bool) -> None:
    frames: list[dict[str, float]] = [{"a": 300 + t} for t in range(20)]
    frames += [{} for _ in range(gap)] + [{"a": 320 + t} for t in range(20)]
    got = who_is_where(Tracker(max_gap_s=1), frames)
    assert (len(got["a"]) == 1) is same


def test_someone_in_motion_is_expected_further_on() -> None:
    """Hidden for 8 frames at 40 px a frame, 320 px on: only the motion says who it is."""
    frames: list[dict[str, float]] = [{"fast": 100 + 40 * t, "stands": 620} for t in range(10)]
    frames += [{"stands": 620} for _ in range(8)] + [{"fast": 820 + 40 * t, "stands": 620} for t in range(5)]
    got = who_is_where(Tracker(), frames)
    assert len(got["fast"]) == len(got["stands"]) == 1


def half_seen(whole: Person2D, *, upper: bool) -> Person2D:
    """Somebody in a blur, of whom one half is no more than a guess."""
    score = whole.score.copy()
    score[slice(COCO.LEFT_HIP, None) if upper else slice(None, COCO.LEFT_HIP)] = 0.2
    return replace(whole, score=score)


def test_a_blurred_jump_keeps_the_number() -> None:
    """First only the legs are sure, and from one frame to the next only the arms: no joint can be compared."""
    tracker = Tracker()
    ids = []
    for t in range(40):
        here = person(300 + 12 * t)
        seen = half_seen(here, upper=t >= 25) if 20 <= t < 30 else here
        ids += [p.track_id for p in tracker.update(frame(t), (seen,))]
    assert set(ids) == {1}


def test_a_ghost_of_one_frame_takes_nobodys_place_later() -> None:
    """The jump passes where a ghost once stood, whose joints can all be compared."""
    tracker = Tracker()
    for t in range(60):
        here = person(300 + 6 * max(0, t - 20))
        blurred = half_seen(here, upper=t >= 40)
        seen = (here, person(420)) if t == 10 else (blurred if 34 <= t < 46 else here,)
        out = tracker.update(frame(t), seen)
    assert [p.track_id for p in out] == [1]


def test_births_and_deaths_give_new_numbers_in_order() -> None:
    frames: list[dict[str, float]] = [{"a": 100} for _ in range(5)]
    frames += [{"a": 100, "b": 900} for _ in range(5)] + [{"b": 900} for _ in range(40)]
    frames += [{"b": 900, "c": 100} for _ in range(5)]
    got = who_is_where(Tracker(max_gap_s=0.3), frames)
    assert {name: list(c) for name, c in got.items()} == {"a": [1], "b": [2], "c": [3]}


def test_near_misses_stay_apart() -> None:
    """Three abreast, closer than their width, swaying."""
    frames = [{n: 400 + 70 * k + 15 * np.sin(t / 3 + k) for k, n in enumerate("abc")} for t in range(60)]
    got = who_is_where(Tracker(), frames)
    assert sorted(next(iter(c)) for c in got.values() if len(c) == 1) == [1, 2, 3]


def test_at_most_so_many_and_the_surest_first() -> None:
    tracker = Tracker(max_people=2, max_gap_s=3)
    crowd = (person(100, score=0.4), person(500, score=0.9), person(900, score=0.8))
    assert [p.score[0] for p in tracker.update(frame(0), crowd)] == pytest.approx([0.9, 0.8])
    # Whoever is remembered but gone makes room for a newcomer.
    assert [p.track_id for p in tracker.update(frame(1), (crowd[0],))] == [3]
    assert tracker.update(frame(2), ()) == ()


def test_people_come_back_unchanged_but_for_the_number() -> None:
    given = person(300)
    (back,) = Tracker().update(frame(0), (given,))
    assert back.track_id == 1
    assert given.track_id is None
    np.testing.assert_array_equal(back.joints_px, given.joints_px)
    np.testing.assert_array_equal(back.score, given.score)


def test_frames_must_go_forward() -> None:
    tracker = Tracker()
    tracker.update(frame(3), ())
    with pytest.raises(ValueError, match=r"more than 0\.1, got 0.1"):
        tracker.update(frame(3), ())


def identities(shots: Iterable[Shot], tracker: Tracker | None = None) -> list[dict[str, int]]:
    """Per frame, who got which identity; of the people whose name is known."""
    tracker = tracker or Tracker()
    out = []
    for shot in shots:
        got = tracker.update(shot.frame, shot.people)
        named = zip(shot.people, shot.true_names, strict=True)
        out.append({n: q.track_id for p, n in named for q in got if n and q.joints_px is p.joints_px and q.track_id})
    return out


def kept(shots: Iterable[Shot]) -> bool:
    """Whether everybody who was there at the beginning has the same identity at the end."""
    ids = identities(shots)
    return ids[0].items() <= ids[-1].items()


class TestGeneratedScenes:
    @pytest.mark.parametrize("shirts", [("red", "blue"), ("red", "red")], ids=" and ".join)
    def test_the_detector_follows_the_wrong_person(self, shirts: tuple[str, str]) -> None:
        """Dressed alike, only their paths tell; a tracker that knows neither clothes nor later paths kept 33."""
        scenes = [kept(wrong_follower(*kind, shirts, seed)) for seed, kind in enumerate(WRONG_FOLLOWERS)]
        assert len(scenes) == 48
        assert sum(scenes) >= 46

    def test_an_embrace(self) -> None:
        scenes = [kept(hug(*kind, ("red", "blue"), seed)) for seed, kind in enumerate(HUGS)]
        assert len(scenes) == 12
        assert sum(scenes) >= 11

    @pytest.mark.parametrize(("seconds", "stranger"), RETURNS)
    def test_who_leaves_and_comes_back_keeps_the_number(self, seconds: float, stranger: bool) -> None:
        ids = identities(leaves_and_returns(seconds, stranger, ("red", "blue")))
        assert ids[0].items() <= ids[-1].items()
        late = [one["stranger"] for one in ids[-20:] if "stranger" in one]
        assert not late or late[-1] not in ids[0].values()

    @pytest.mark.parametrize("fps", [15, 24, 30, 60, 240])
    def test_the_same_identities_at_any_frame_rate(self, fps: int) -> None:
        ids = identities(resampled_walk(fps))
        assert all(ids[0][n] == ids[-1][n] for n in ("first", "second", "third"))
        assert ids[0]["fourth"] != ids[-1]["fourth"]
        # Where two pass in the same place, a frame or two may be anybody's.
        others = sum(one[n] != ids[0][n] for one in ids for n in ("first", "second", "third") if n in one)
        assert others <= 0.01 * 3 * len(ids)


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (3, 0), (1, 1), (2, 5), (5, 2), (4, 4), (6, 6)])
def test_best_pairs_are_the_best_of_all(rows: int, columns: int) -> None:
    rng = np.random.default_rng(rows * 10 + columns)
    for trial in range(30):
        gain = rng.random((rows, columns))
        if trial % 2:
            gain = np.round(gain * 2) / 2  # many ties and zeros
        pairs = best_pairs(gain)
        assert len(pairs) == min(rows, columns)
        assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
        tall = gain if rows >= columns else gain.T
        best = max(sum(tall[r, c] for c, r in enumerate(p)) for p in permutations(range(tall.shape[0]), tall.shape[1]))
        assert sum(gain[r, c] for r, c in pairs) == pytest.approx(best)
