"""Generated scenes for tracking: people of known identity on known paths, in pictures, and what a detector sees.

A scene is a list of `Shot`s. Whoever is hidden by another is not seen, and a detector may take the one for the other
meanwhile: `true_names` then says whose path each sighting lies on, or None where it lies on nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import cv2
import numpy as np

from sasmamba.app.types import Frame, Person2D

WIDTH, HEIGHT = 960, 540
SHIRTS = {"red": (40, 40, 190), "blue": (170, 70, 30), "white": (215, 220, 222), "green": (60, 130, 40)}

# A standing figure of height 1 around its hips, COCO order.
FIGURE = np.array(
    [
        (0, -0.5),
        (0.02, -0.52),
        (-0.02, -0.52),
        (0.05, -0.5),
        (-0.05, -0.5),
        (0.12, -0.35),
        (-0.12, -0.35),
        (0.16, -0.15),
        (-0.16, -0.15),
        (0.18, 0.02),
        (-0.18, 0.02),
        (0.08, 0),
        (-0.08, 0),
        (0.09, 0.22),
        (-0.09, 0.22),
        (0.1, 0.45),
        (-0.1, 0.45),
    ],
    np.float32,
)


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame of a scene: what a detector sees in it, and whose each sighting is."""

    frame: Frame
    people: tuple[Person2D, ...]
    true_names: tuple[str | None, ...]


def figure(
    x: float, y: float = 270, height: float = 300, *, rng: np.random.Generator | None = None, score: float = 0.9
) -> Person2D:
    """Somebody who stands with the hips at (x, y), the joints off by a hundredth of the height where `rng` is given."""
    joints = FIGURE * height + (x, y)
    if rng is not None:
        joints = joints + rng.normal(0, 0.01 * height, joints.shape)
    box = np.concatenate([joints.min(0), joints.max(0)]).astype(np.float32)
    return Person2D(None, box, joints.astype(np.float32), np.full(17, score, np.float32))


def picture(people: dict[str, tuple[float, float]], shirts: dict[str, str], rng: np.random.Generator) -> np.ndarray:
    """A grey room with everybody's torso in their shirt, the last in front; the light flickers a little."""
    bgr = np.full((HEIGHT, WIDTH, 3), 118, np.uint8)
    for name, (x, y) in people.items():
        torso = (FIGURE[[5, 6, 12, 11]] * (1.1, 1) * 300 + (x, y)).round().astype(np.int32)
        colour = np.clip(np.array(SHIRTS[shirts[name]]) * rng.uniform(0.85, 1.1), 0, 255)
        cv2.fillPoly(bgr, [torso], colour.tolist())
    return bgr


def shot(
    index: int,
    places: dict[str, tuple[float, float]],
    shirts: dict[str, str],
    rng: np.random.Generator,
    *,
    seen: list[tuple[str | None, float, float]] | None = None,
    fps: int = 30,
) -> Shot:
    """A frame with people at `places`; `seen` are whose, x, y of what the detector sees, None for just those."""
    found = [(n, x, y) for n, (x, y) in places.items()] if seen is None else list(seen)
    order = rng.permutation(len(found))  # a detector's order means nothing
    people = tuple(figure(found[i][1], found[i][2], rng=rng) for i in order)
    frame = Frame(index, Fraction(index, fps), picture(places, shirts, rng))
    return Shot(frame, people, tuple(found[i][0] for i in order))


#: Speeds of the two in px a frame, for how many frames only one is seen, how the detector errs meanwhile, seed.
SPEEDS = ((8.0, -8.0), (8.0, -4.0), (12.0, -5.0), (9.0, 2.0))
HIDDEN = (6, 12, 20)
ERRORS = ("turns with the first", "turns with the second", "slides over", "between the two")
WRONG_FOLLOWERS = tuple(product(SPEEDS, HIDDEN, ERRORS))


def wrong_follower(
    speeds: tuple[float, float], hidden: int, error: str, shirts: tuple[str, str], seed: int = 0
) -> Iterator[Shot]:
    """Two pass each other; in the middle only one is seen, and the detector follows the wrong one out of the crossing.

    The sighting goes along with the one who is in front and then turns round with the other, slides over from one to
    the other, or is a mixture of both.
    """
    rng = np.random.default_rng(seed)
    meet, names = 45, ("a", "b")
    for t in range(91):
        places = {n: (480 + v * (t - meet), 270.0 + 4 * i) for i, (n, v) in enumerate(zip(names, speeds, strict=True))}
        into = (t - (meet - hidden / 2)) / hidden
        seen: list[tuple[str | None, float, float]] | None = None
        if 0 <= into < 1:
            later = into >= 0.4
            share = dict(zip(ERRORS, (float(later), float(not later), into, 0.5), strict=True))[error]
            (xa, ya), (xb, yb) = places.values()
            whose = None if 0 < share < 1 else names[int(share)]
            seen = [(whose, (1 - share) * xa + share * xb, (1 - share) * ya + share * yb)]
        if seen is not None and seen[0][0] == "a":
            places = dict(reversed(places.items()))  # who is seen is in front
        yield shot(t, places, dict(zip(names, shirts, strict=True)), rng, seen=seen)


#: For how many seconds, whether the two are seen as one meanwhile, and whether each leaves on the other's side.
HUGS = tuple(product((0.5, 1.5, 3.0), (False, True), (False, True)))


def hug(seconds: float, as_one: bool, change_sides: bool, shirts: tuple[str, str], seed: int = 0) -> Iterator[Shot]:
    """Two walk up to each other, embrace, and part; meanwhile two jittery sightings, or one between them."""
    rng = np.random.default_rng(seed)
    approach, held = 40, round(30 * seconds)
    near = 22.0
    for t in range(2 * approach + held):
        if t < approach:
            away = near + 260 * (1 - t / approach) ** 1.5
        elif t < approach + held:
            away = near
        else:
            away = near + 260 * ((t - approach - held) / approach) ** 1.5
        turn = -1.0 if change_sides else 1.0
        within = np.clip((t - approach) / held, 0, 1)
        side = 1 + (turn - 1) * within if turn < 0 else 1.0
        places = {"a": (480 - side * away, 270.0), "b": (480 + side * away, 274.0)}
        seen: list[tuple[str | None, float, float]] | None = None
        if approach <= t < approach + held:
            if as_one:
                seen = [(None, 480 + rng.normal(0, 8), 272)]
            else:
                seen = [(n, x + rng.normal(0, 12), y) for n, (x, y) in places.items()]
        yield shot(t, places, dict(zip("ab", shirts, strict=True)), rng, seen=seen)


#: How long somebody is away in seconds, and whether a stranger comes in at the same edge before them.
RETURNS = tuple(product((0.3, 1.0, 1.9), (False, True)))


def leaves_and_returns(
    seconds: float, stranger: bool, shirts: tuple[str, str], seed: int = 0, *, fps: int = 30
) -> Iterator[Shot]:
    """One walks out of the picture and comes back to the edge, while another stands in it; a stranger may come in
    where the one left, and go on."""
    rng = np.random.default_rng(seed)
    walk, away = fps, round(fps * seconds)
    for t in range(2 * walk + away):
        places = {"stays": (230.0, 270.0)}
        if t < walk:
            places["goes"] = (700 + 260 * t / walk, 275.0)
        elif t >= walk + away:
            places["goes"] = (960 - 160 * (t - walk - away) / walk, 275.0)
        if stranger and t >= walk + away // 2:
            places["stranger"] = (960 - 480 * (t - walk - away // 2) / fps, 268.0)
        if places.get("stranger", (500, 0))[0] < 400:
            del places["stranger"]
        worn = dict(zip(("stays", "goes"), shirts, strict=True)) | {"stranger": "green"}
        yield shot(t, places, worn, rng, fps=fps)


def resampled_walk(fps: int) -> Iterator[Shot]:
    """Three people over six seconds, the same at any frame rate: two pass and one hides the other, one leaves the
    picture for a second and a half, and one for four."""
    rng = np.random.default_rng(1)
    for index in range(6 * fps):
        s = index / fps
        places = {"first": (150 + 180 * s, 270.0), "second": (820 - 160 * s, 276.0)}
        seen = {n: p for n, p in places.items() if n == "first" or not 1.75 <= s < 2.15}
        if not 0.8 <= s < 2.3:
            seen["third"] = (930.0, 268.0)
        if not 1.0 <= s < 5.0:
            seen["fourth"] = (40.0, 268.0)
        shirts = {"first": "red", "second": "white", "third": "blue", "fourth": "green"}
        hidden = {n: p for n, p in places.items() if n not in seen}
        yield shot(index, hidden | seen, shirts, rng, seen=[(n, *p) for n, p in seen.items()], fps=fps)
