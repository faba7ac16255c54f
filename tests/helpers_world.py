"""A small world for 2D backends: its pictures' colours tell where every pixel lies, so that stand-ins for networks
find out what they are shown and answer with the people who are there."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from helpers_crossings import figure

from sasmamba.app.types import Frame, Person2D
from sasmamba.common.arrays import FloatArray

WIDTH, HEIGHT = 1020, 510


class World:
    """People who are there now, by name; `unseen` ones no network sees, and `rough` ones only the finder.

    Attributes:
        crops: how many crops the networks saw.
        finds: whole pictures that were searched, by their frame's time.
        parts: parts of pictures that were searched, by their frame's time.
        loud: who is taken for the person of a crop as soon as it shows the middle of them.
        tall: of people, pixels. Who is not as tall as `least` is not found in the whole picture.
    """

    side = 128

    def __init__(self, noise_px: float = 0.0) -> None:
        self.people: dict[str, Person2D] = {}
        self.unseen: set[str] = set()
        self.rough: set[str] = set()
        self.loud: set[str] = set()
        self.crops, self.finds, self.parts = 0, list[float](), list[float]()
        self.tall, self.least = 250.0, 100.0
        self._rng, self._noise_px, self._now_s = np.random.default_rng(0), noise_px, 0.0
        x, y = np.meshgrid(np.arange(WIDTH) * 255 / WIDTH, np.arange(HEIGHT) * 255 / HEIGHT)
        self._bgr = np.stack([np.full_like(x, 255), y, x], -1).round().astype(np.uint8)

    def frame(self, index: int, fps: int = 30, **places: float) -> Frame:
        """The next picture, with named people standing at these x; those named before are gone."""
        self.people = {name: figure(x, 255, self.tall) for name, x in places.items()}
        time_s = Fraction(index, fps)
        self._now_s = float(time_s)
        return Frame(index, time_s, self._bgr)

    def network(self) -> _Network:
        return _Network(self)

    def finder(self, bgr: np.ndarray) -> list[tuple[FloatArray, FloatArray, float]]:
        """As MultiPose: everybody, joints 5 px off, the one on the right first."""
        whole = bgr.shape[:2] == (HEIGHT, WIDTH)
        (self.finds if whole else self.parts).append(self._now_s)
        seen = [p for n, p in self.people.items() if n not in self.unseen]
        if not whole:
            corner = bgr[0, 0, :0:-1] * np.array([WIDTH / 255, HEIGHT / 255])
            seen = [replace(p, joints_px=p.joints_px - corner, box_px=p.box_px - np.tile(corner, 2)) for p in seen]
            size = np.array([bgr.shape[1], bgr.shape[0]])
            seen = [p for p in seen if (p.box_px[:2] >= 0).all() and (p.box_px[2:] <= size).all()]
        elif self.tall < self.least:
            seen = []
        found = [(np.column_stack([p.joints_px + 5, 0.5 * p.score]), p.box_px, 0.6) for p in seen]
        return sorted(found, key=lambda f: -f[1][0])

    def joints_in_crop(self, crop: np.ndarray) -> FloatArray:
        """As Thunder: whoever is nearest to the crop's middle, or noise where nobody is in it."""
        self.crops += 1
        there = crop[..., 2] > 250
        rows, columns = np.nonzero(there)
        if len(rows) < 100:
            return np.full((17, 3), (0.5, 0.5, 0.02), np.float32)
        x = np.polyfit(columns + 0.5, crop[..., 0][there] * (WIDTH / 255), 1)
        y = np.polyfit(rows + 0.5, crop[..., 1][there] * (HEIGHT / 255), 1)
        middle = np.polyval(x, self.side / 2), np.polyval(y, self.side / 2)
        seen = [p for n, p in self.people.items() if n not in self.unseen | self.rough]
        seen = [p for p in seen if abs(np.mean(p.box_px[::2]) - middle[0]) < x[0] * self.side / 2]
        if not seen:
            return np.full((17, 3), (0.5, 0.5, 0.02), np.float32)
        person = min(seen, key=lambda p: abs(float(np.mean(p.box_px[::2])) - middle[0]))
        for name in self.loud & self.people.keys():
            column, row = ((np.mean(self.people[name].box_px[i::2]) - a[1]) / a[0] for i, a in enumerate((x, y)))
            if 0 <= column < self.side and 0 <= row < self.side and there[int(row), int(column)]:
                person = self.people[name]
        joints = person.joints_px + self._rng.normal(0, self._noise_px, (17, 2))
        across = (joints[:, 0] - x[1]) / x[0] / self.side
        down = (joints[:, 1] - y[1]) / y[0] / self.side
        return np.column_stack([across, down, person.score]).astype(np.float32)


class _Network:
    def __init__(self, world: World) -> None:
        self._world, self.side = world, world.side

    def __call__(self, crops: np.ndarray) -> FloatArray:
        assert crops.shape[1:] == (self.side, self.side, 3)
        assert crops.dtype == np.uint8
        return np.stack([self._world.joints_in_crop(crop) for crop in crops])
