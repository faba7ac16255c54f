"""Cuts are found where films are cut, and nowhere else; nobody goes on across one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sasmamba.app.export.poses import save_poses
from sasmamba.app.io.picture_change import SmallPicture
from sasmamba.app.io.shot_cuts import CutFinder, with_cuts
from sasmamba.app.run_report import Report
from sasmamba.app.seeing import see
from sasmamba.app.take import Take, cut_list
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Cut, Frame, Person2D, VideoMeta
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings

Picture = NDArray[np.uint8]
WIDTH, HEIGHT, FPS = 320, 180, 30


def ground(seed: int, width: int = WIDTH) -> Picture:
    """A place: blotches of many sizes."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.uniform(0, 255, (9 * n, 16 * n, 3)).astype(np.float32), (width, HEIGHT)) for n in (1, 2, 4)
    ]
    return np.asarray(np.mean(layers, 0), np.uint8)


def town(seed: int, width: int = WIDTH) -> Picture:
    """A place full of sharp edges."""
    rng, picture = np.random.default_rng(seed), ground(seed, width)
    least, most = (0, 0, 3, 3, 0, 0, 0), (width, HEIGHT, 24, 24, 255, 255, 255)
    for x, y, wide, high, *color in rng.uniform(least, most, (round(0.7 * width), 7)):
        cv2.rectangle(picture, (int(x), int(y)), (int(x + wide), int(y + high)), color, -1)
    return picture


def figure(picture: Picture, x: float, y: float = 110, *, high: int = 70, wide: int = 26, seed: int = 9) -> Picture:
    """Somebody in striped clothes at x."""
    cloth = np.random.default_rng(seed).uniform(0, 255, (high // 6 + 1, 3, 3)).astype(np.float32)
    body = cv2.resize(cloth, (wide, high), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    out, left, top = picture.copy(), round(x - wide / 2), round(y - high / 2)
    a, b, c, d = max(0, left), min(WIDTH, left + wide), max(0, top), min(HEIGHT, top + high)
    if b > a and d > c:
        out[c:d, a:b] = body[c - top : d - top, a - left : b - left]
    return out


def walk(seed: int, frames: int, x: float = 60, speed: float = 1.5) -> list[Picture]:
    """Somebody walks through a place."""
    place = ground(seed)
    return [figure(place, x + speed * i) for i in range(frames)]


def pan(seed: int, frames: int, step: float, place: Callable[[int, int], Picture] = ground) -> list[Picture]:
    wide = place(seed, 4 * WIDTH)
    return [np.ascontiguousarray(wide[:, (at := round(step * i) % (3 * WIDTH)) : at + WIDTH]) for i in range(frames)]


def lit(pictures: list[Picture], gain: Callable[[int], float]) -> list[Picture]:
    return [np.asarray(cv2.convertScaleAbs(p, alpha=gain(i)), np.uint8) for i, p in enumerate(pictures)]


def dissolved(a: list[Picture], b: list[Picture], frames: int) -> list[Picture]:
    mixed = [
        np.asarray(cv2.addWeighted(p, 1 - (i + 1) / (frames + 1), q, (i + 1) / (frames + 1), 0), np.uint8)
        for i, (p, q) in enumerate(zip(a[-frames:], b[:frames], strict=True))
    ]
    return [*a[:-frames], *mixed, *b[frames:]]


def cuts_of(pictures: list[Picture], times: list[Fraction] | None = None, fps: int = FPS) -> list[Cut]:
    finder = CutFinder(Fraction(fps))
    film = [Frame(i, times[i] if times else Fraction(i, fps), p) for i, p in enumerate(pictures)]
    passed = list(with_cuts(film, finder))
    assert [f.index for f in passed] == list(range(len(film)))
    told = [f.cut for f in passed if f.cut is not None]
    assert [c for c in finder.cuts if c in told] == told
    return finder.cuts


CUT = {
    "to another scene": (walk(1, 30) + walk(2, 30), [30]),
    "twice": (walk(1, 20) + walk(2, 20) + walk(1, 20), [20, 40]),
    "somebody jumps across the same scene": (walk(1, 40) + walk(1, 40, x=230), [40]),
    "into a pan": (walk(1, 30) + pan(2, 30, 6), [30]),
    "between stills": ([ground(1)] * 30 + [ground(2)] * 30, [30]),
    "with black between": (walk(1, 30) + [np.zeros_like(ground(1))] * 6 + walk(2, 30), [36]),
}


@pytest.mark.parametrize("case", CUT)
def test_cuts_are_found(case: str) -> None:
    pictures, expected = CUT[case]
    assert [c.frame for c in cuts_of(pictures)] == expected


def banded(pictures: list[Picture]) -> list[Picture]:
    """Dark but in a band across the picture."""
    return [np.pad(p[70:96], ((70, HEIGHT - 96), (0, 0), (0, 0))) for p in pictures]


FADED = {
    "one mixed frame": (dissolved(walk(1, 30), walk(2, 30), 1), 28, 31),
    "a dissolve of ten frames": (dissolved(walk(1, 40), walk(2, 40), 10), 29, 41),
    "a dissolve of a second": (dissolved(walk(1, 60), walk(2, 60), 30), 29, 61),
    "a dissolve between pans": (dissolved(pan(1, 70, 2), pan(2, 70, -2), 25), 44, 71),
    "a dissolve between pans of one way": (dissolved(pan(1, 70, 2), pan(2, 70, 2), 15), 54, 71),
    "a long dissolve between pans": (dissolved(pan(1, 70, 3), pan(2, 70, -3), 40), 29, 71),
    "through black": (
        lit(walk(1, 50), lambda i: min(1, (50 - i) / 15)) + lit(walk(2, 50), lambda i: min(1, i / 15)),
        34,
        66,
    ),
    "through black into the same scene": (
        lit(walk(1, 50), lambda i: min(1, (50 - i) / 15))
        + [np.zeros_like(ground(1))] * 5
        + lit(walk(3, 50), lambda i: min(1, i / 15)),
        34,
        71,
    ),
    "through black into a dark picture with a band": (
        lit(walk(1, 50), lambda i: min(1, (50 - i) / 15))
        + [np.zeros_like(ground(1))] * 6
        + lit(banded(walk(2, 50)), lambda i: min(1, i / 15)),
        34,
        72,
    ),
}


@pytest.mark.parametrize("case", FADED)
def test_fades_are_found_once(case: str) -> None:
    pictures, first, last = FADED[case]
    (cut,) = cuts_of(pictures)
    assert first <= cut.frame <= last


def coarse(picture: Picture, quality: int) -> Picture:
    """Coded and read again."""
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def stalled(pictures: list[Picture], at: int, frames: int) -> list[Picture]:
    return pictures[:at] + [pictures[at]] * frames + pictures[at + frames :]


def passing(pictures: list[Picture], begin: int, step: int, wide: int, seed: int) -> list[Picture]:
    """Somebody large walks past close to the lens."""
    return [
        figure(p, (i - begin) * step - wide / 2, 90, high=2 * HEIGHT, wide=wide, seed=seed)
        for i, p in enumerate(pictures)
    ]


def captioned(picture: Picture) -> Picture:
    white = (255, 255, 255)
    return np.asarray(
        cv2.putText(picture.copy(), "and then", (40, 165), cv2.FONT_HERSHEY_SIMPLEX, 1, white, 3), np.uint8
    )


UNCUT = {
    "somebody walks": walk(1, 90),
    "nothing moves": [ground(1)] * 60,
    "black": [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 40,
    "a pan": pan(1, 90, 5),
    "a whip pan": pan(1, 1, 0) * 30 + pan(1, 16, 50) + pan(1, 16, 50)[-1:] * 30,
    "a flash": lit(walk(1, 60), lambda i: 6 if i in (30, 31) else 1),
    "a strobe light": lit(walk(1, 90), lambda i: 3 if i % 6 < 2 else 0.7),
    "the exposure jumps": lit(walk(1, 90), lambda i: (1, 2, 0.5)[i // 30]),
    "the light goes out and on": lit(walk(1, 60), lambda i: 0.02 if 20 <= i < 40 else 1),
    "a dark coat close by": passing(walk(1, 60), 15, 22, 200, 9),
    "a lens covered for a moment": passing(walk(1, 60), 10, 40, 500, 3),
    "a patterned coat close by, in a dim pan": [
        figure(p, 18 * (i - 15) - 60, 110, high=260, wide=120, seed=2)
        for i, p in enumerate(lit(pan(3, 45, 2.5), lambda i: 0.4))
    ],
    "a pan that stalls": stalled(pan(1, 90, 2.5, town), 40, 13),
    "a slow pan that stalls": stalled(pan(2, 90, 1.5, town), 40, 13),
    "a picture that is coded anew": [coarse(p, 8) for p in walk(1, 30)] + [coarse(p, 60) for p in walk(1, 15, 105)],
    "a caption": walk(1, 30) + [captioned(p) for p in walk(1, 30, 105)],
}


@pytest.mark.parametrize("case", UNCUT)
def test_none_are_invented(case: str) -> None:
    assert cuts_of([np.asarray(p, np.uint8) for p in UNCUT[case]]) == []


def dance(times_s: list[float]) -> list[Picture]:
    """Somebody who swings to and fro, with two arms that do so faster."""
    pictures = []
    for t in times_s:
        picture = ground(1)
        for k, (high, wide, reach, hz) in enumerate(((70, 30, 50, 0.275), (24, 20, 30, 0.45), (24, 20, 40, 0.65))):
            x, y = 150 + reach * np.sin(2 * np.pi * hz * t + k), 8 * np.sin(2 * np.pi * 1.7 * hz * t)
            picture = figure(picture, x, 105 + 10 * k + y, high=high, wide=wide, seed=9 + k)
        pictures.append(picture)
    return pictures


def without_every(nth: int, frames: int) -> list[float]:
    """When the pictures of a film of 30 a second are taken of which every nth is left out."""
    return [i / FPS for i in range(frames) if i % nth != nth - 1]


@pytest.mark.parametrize(
    ("nth", "fps", "begin_s", "jump_s"), [(6, 25, 0, 3.6), (6, 25, 0, 2.7), (5, 24, 0.4, 2.7), (5, 24, 0, 3.6)]
)
def test_a_jump_cut_where_pictures_are_left_out(nth: int, fps: int, begin_s: float, jump_s: float) -> None:
    shot = [begin_s + t for t in without_every(nth, 60)]
    found = cuts_of(dance(shot + [t + jump_s for t in shot]), fps=fps)
    assert [c.frame for c in found] == [len(shot)]


@pytest.mark.parametrize(("begin_s", "jump_s"), [(3.2, 1.7), (5.9, 1.2)])
def test_a_jump_cut_out_of_fast_motion_into_calm(begin_s: float, jump_s: float) -> None:
    fast, calm = ([begin_s + 2.2 * t for t in without_every(5, 30)], [jump_s + 0.2 * t for t in without_every(5, 20)])
    assert [c.frame for c in cuts_of(dance(fast + calm), fps=24)] == [len(fast)]


@pytest.mark.parametrize("step", [30, 60])
def test_a_search_begins_where_it_is_told(step: int) -> None:
    before, after = (SmallPicture(picture) for picture in pan(1, 2, step, town))
    assert after.change_from(before).share > 0.3
    assert after.change_from(before, start=(step * after.detail.shape[1] / WIDTH, 0.0)).share < 0.1


@pytest.mark.parametrize(("nth", "fps"), [(6, 25), (5, 24), (12, 28), (3, 20)])
@pytest.mark.parametrize("begin_s", [0, 1.1])
def test_pictures_left_out_are_no_cuts(nth: int, fps: int, begin_s: float) -> None:
    assert cuts_of(dance([begin_s + t for t in without_every(nth, 120)]), fps=fps) == []


def repeated(pictures: list[Picture]) -> list[Picture]:
    """24 pictures a second are shown as 30: every fourth twice."""
    return [p for i, p in enumerate(pictures) for _ in range(1 + (i % 4 == 3))]


def pulled_down(pictures: list[Picture]) -> list[Picture]:
    """24 pictures a second are shown as 30 made of fields, two of five of which come from two pictures."""

    def woven(even: Picture, odd: Picture) -> Picture:
        picture = even.copy()
        picture[1::2] = odd[1::2]
        return picture

    fives = [
        (a, b, woven(b, c), woven(c, d), d) for a, b, c, d in zip(*(pictures[i::4] for i in range(4)), strict=True)
    ]
    return [p for five in fives for p in five]


@pytest.mark.parametrize("shown", [repeated, pulled_down])
def test_films_shown_at_another_rate(shown: Callable[[list[Picture]], list[Picture]]) -> None:
    shot = [i / 24 for i in range(48)]
    assert cuts_of(shown(dance(shot + [t + 2 for t in shot]))) == []
    (cut,) = cuts_of(shown(dance(shot + [t + 3.6 for t in shot])))
    assert cut.frame == 60


def test_the_end_of_a_film_is_no_cut() -> None:
    assert cuts_of(walk(1, 30) + walk(2, 1)) == []


def test_a_hole_in_the_timestamps_ends_a_shot() -> None:
    times = [Fraction(i, FPS) + (60 if i >= 20 else 0) for i in range(40)]
    assert cuts_of(walk(1, 40), times) == [Cut(20, times[20], "gap")]
    slow = [Fraction(4 * i) for i in range(20)]  # a film of one frame in four seconds has no holes
    finder = CutFinder(Fraction(1, 4))
    list(with_cuts((Frame(i, t, p) for i, (t, p) in enumerate(zip(slow, walk(1, 20), strict=True))), finder))
    assert finder.cuts == []


@pytest.mark.parametrize("size", [(16, 16), (1, 700), (2000, 3)])
def test_pictures_of_any_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    finder = CutFinder(Fraction(25))
    film = (Frame(i, Fraction(i, 25), rng.integers(0, 255, (*size, 3), dtype=np.uint8)) for i in range(20))
    assert len(list(with_cuts(film, finder))) == 20


@pytest.mark.parametrize(("frame", "kind"), [(0, "cut"), (3, "wipe")])
def test_a_cut_that_cannot_be(frame: int, kind: str) -> None:
    with pytest.raises(ValueError, match="want"):
        Cut(frame, Fraction(0), kind)  # type: ignore[arg-type]


def person(x: float, track_id: int | None = None) -> Person2D:
    joints = np.full((17, 2), x, np.float32) + np.arange(34).reshape(17, 2)
    return Person2D(track_id, np.array([x, 20, x + 40, 160], np.float32), joints, np.full(17, 0.9, np.float32))


META = VideoMeta(WIDTH, HEIGHT, Fraction(FPS), None)


class Film(list[Frame]):
    meta = META


class Eyes:
    """Sees one person who stands still in whatever there is to see, and remembers where it looked."""

    name = "eyes"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        self.asked.append(frame.index)
        return (person(100),)


def take_of(pictures: list[Picture], every: int = 1, cuts: bool = True) -> Take:
    take, eyes = Take(META, "", every), Eyes()
    film = Film(Frame(i, Fraction(i, FPS), p) for i, p in enumerate(pictures))
    see(
        film,  # type: ignore[arg-type]
        eyes,  # type: ignore[arg-type]
        take,
        max_people=4,
        timings=Timings(),
        stop=Stop(),
        progress=lambda *_: None,
        cuts=cuts,
    )
    assert take.detection_frames == eyes.asked
    return take


@pytest.mark.parametrize("every", [1, 4, 10])
def test_nobody_goes_on_across_a_cut(every: int) -> None:
    take = take_of(walk(1, 33) + walk(2, 31), every)
    assert [c.frame for c in take.cuts] == [33]
    assert take.shots == [range(33), range(33, 64)]
    assert [(min(t.people), max(t.people)) for t in take.tracks.values()] == [(0, 32), (33, 63)]
    assert all(len(take.people_at(f)) == 1 for f in range(64))  # the first and the last of a shot are looked at
    assert {p.track_id for f in range(33, 64) for p in take.people_at(f)} == {2}


def test_nobody_goes_on_through_a_fade() -> None:
    take = take_of(dissolved(walk(1, 60), walk(2, 60), 20))
    ((cut,), (before, after)) = take.cuts, take.tracks.values()
    assert cut.kind == "fade"
    assert max(before.people) == cut.frame - 1
    assert min(after.people) == cut.frame
    assert {p.track_id for p in after.people.values()} == {after.track_id}


def test_no_cuts_where_they_are_not_wanted() -> None:
    take = take_of(walk(1, 30) + walk(2, 30), cuts=False)
    assert (take.cuts, take.shots, list(take.tracks)) == ([], [range(60)], [1])


def test_a_tracker_gives_no_number_twice() -> None:
    tracker = Tracker()
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    numbers = []
    for i in range(6):
        frame = Frame(i, Fraction(i, FPS), black)
        frame = replace(frame, cut=Cut(i, frame.time_s)) if i in (2, 4) else frame
        numbers += [p.track_id for p in tracker.update(frame, (person(100), person(200)))]
    assert numbers == [1, 2, 1, 2, 3, 4, 3, 4, 5, 6, 5, 6]


def test_they_are_saved_and_told(tmp_path: Path) -> None:
    cuts = [Cut(2, Fraction(1, 15), "cut"), Cut(4, Fraction(2, 15), "fade")]
    take = Take(META, "", times_s=[Fraction(i, FPS) for i in range(6)], cuts=cuts)
    save_poses(take, tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz", allow_pickle=False) as saved:
        assert saved["cut_frame"].tolist() == [2, 4]
        assert saved["cut_kind"].tolist() == ["cut", "fade"]
    assert cut_list(cuts) == "3 shots, cut at 0.07 s, 0.13 s (fade)"
    assert cut_list(cuts, most=1) == "3 shots, cut at 0.07 s and 1 more"
    report = Report(6, 6, 6, {}, {}, 1.0, 0.1, [], "", "", cuts=cuts)
    assert json.loads(json.dumps(report.plain()))["cuts"][1] == {"frame": 4, "time_s": 2 / 15, "kind": "fade"}
