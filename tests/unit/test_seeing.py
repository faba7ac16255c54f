"""One reading of a video: who is who is told beside the search for people, in order, and errors come out."""

from __future__ import annotations

import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from sasmamba.app.seeing import see
from sasmamba.app.take import Take
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Frame, Person2D, VideoMeta
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings

FRAMES = 12


class Film(list[Frame]):
    meta = VideoMeta(64, 48, Fraction(30), FRAMES)

    def __init__(self) -> None:
        super().__init__(Frame(i, Fraction(i, 30), np.zeros((48, 64, 3), np.uint8)) for i in range(FRAMES))


class Somebody:
    name = "somebody"

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        joints = np.random.default_rng(0).uniform(5, 40, (17, 2)).astype(np.float32) + frame.index / 4
        return (Person2D(None, np.array([5, 5, 45, 45], np.float32), joints, np.ones(17, np.float32)),)


def seen(*, every: int = 1, stop: Stop | None = None) -> Take:
    film = Film()
    take = Take(film.meta, "", every)
    see(
        film,  # type: ignore[arg-type]
        Somebody(),
        take,
        max_people=2,
        timings=Timings(),
        stop=stop or Stop(),
        progress=lambda *_: None,
    )
    return take


@pytest.mark.parametrize(("every", "frames"), [(1, [*range(12)]), (5, [0, 5, 10, 11])])
def test_everybody_is_recorded_in_order_however_long_it_takes(
    every: int, frames: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Tracker.update

    def slowly(self: Tracker, frame: Frame, people: tuple[Person2D, ...]) -> tuple[Person2D, ...]:
        time.sleep(0.01)
        return update(self, frame, people)

    monkeypatch.setattr(Tracker, "update", slowly)
    take = seen(every=every)
    assert take.detection_frames == frames
    assert [*take.tracks[1].people] == frames


@pytest.mark.parametrize("fails_at", [0, 5, FRAMES - 1])
def test_an_error_of_the_tracker_is_the_runs(fails_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Tracker, frame: Frame, people: tuple[Person2D, ...]) -> tuple[Person2D, ...]:
        if frame.index == fails_at:
            raise ValueError("no track")
        return ()

    monkeypatch.setattr(Tracker, "update", fail)
    before = threading.active_count()
    with pytest.raises(ValueError, match="no track"):
        seen()
    assert threading.active_count() == before
