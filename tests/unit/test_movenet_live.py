"""MoveNet's stage live: MultiPose holds nobody up, and the network can be exchanged while frames come."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from helpers_world import World

from sasmamba.app.pose2d.movenet import MoveNetPose2D
from sasmamba.app.pose2d.protocol import Stepping
from sasmamba.common.arrays import FloatArray


class SlowFinder:
    """The world's finder, which answers a search only when it may; what it is shown is what it answers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.may, self.asked = threading.Event(), threading.Event()
        self.may.set()

    def __call__(self, bgr: np.ndarray) -> list[tuple[FloatArray, FloatArray, float]]:
        found = self._world.finder(bgr)
        self.asked.set()
        assert self.may.wait(120)
        return found


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def finder(world: World) -> SlowFinder:
    return SlowFinder(world)


@pytest.fixture
def live(world: World, finder: SlowFinder) -> Iterator[MoveNetPose2D]:
    with MoveNetPose2D(world.network(), finder, threads=2, waits=False) as backend:
        yield backend
        finder.may.set()


def settle(live: MoveNetPose2D) -> None:
    """Waits until the search under way is done."""
    if live._searching is not None:
        for answer in (*live._searching.whole, *live._searching.tiles):
            answer.result(10)


def test_the_first_person_is_waited_for(live: MoveNetPose2D, world: World) -> None:
    assert len(live(world.frame(0, a=300))) == 1


def test_a_slow_search_holds_nobody_up_and_its_newcomer_is_taken_on_where_they_are_by_then(
    live: MoveNetPose2D, world: World, finder: SlowFinder
) -> None:
    for t in range(30):
        live(world.frame(t, a=200))
        settle(live)
    finder.may.clear()
    finder.asked.clear()
    counts = []
    for t in range(30, 45):  # the search is under way; frames are answered all the same
        counts.append(len(live(world.frame(t, a=200, b=600 + 2 * (t - 30)))))
    assert finder.asked.wait(120)
    assert counts == [1] * 15
    finder.may.set()
    settle(live)
    for t in range(45, 65):  # the search that was under way may have been one in a part of the picture
        people = live(world.frame(t, a=200, b=600 + 2 * (t - 30)))
        settle(live)
        if len(people) == 2:
            break
    middles = sorted(float(p.joints_px[:, 0].mean()) for p in people)
    assert middles == pytest.approx([200, 600 + 2 * (t - 30)], abs=4)


def test_whom_the_search_saw_and_who_moved_on_meanwhile_is_no_newcomer(
    live: MoveNetPose2D, world: World, finder: SlowFinder
) -> None:
    """A runner has left the place in which a late answer shows them."""
    for t in range(30):
        live(world.frame(t, a=100 + 12 * t))
        settle(live)
    finder.may.clear()
    for t in range(30, 45):
        live(world.frame(t, a=100 + 12 * t))
    finder.may.set()
    settle(live)
    for t in range(45, 60):
        assert len(live(world.frame(t, a=100 + 12 * t))) == 1
        settle(live)


def test_an_error_of_the_search_comes_out(world: World) -> None:
    def broken(bgr: np.ndarray) -> list[tuple[FloatArray, FloatArray, float]]:
        raise RuntimeError("broken")

    with (
        MoveNetPose2D(world.network(), broken, threads=2, waits=False) as backend,
        pytest.raises(RuntimeError, match="broken"),
    ):
        backend(world.frame(0, a=300))


@pytest.mark.parametrize("threads", [1, 2])
def test_another_network_takes_over(threads: int, world: World) -> None:
    opened: list[str] = []

    class Counted:
        side = world.side

        def __init__(self, name: str) -> None:
            self.name, self.looks, self._network = name, 0, world.network()

        def __call__(self, crops: np.ndarray) -> FloatArray:
            self.looks += 1
            return self._network(crops)

    made: dict[str, Counted] = {}

    def opener(name: str):  # type: ignore[no-untyped-def]
        def open_it() -> Counted:
            opened.append(name)
            made[name] = Counted(name)
            return made[name]

        return open_it

    first = Counted("dear")
    others = {"dear": opener("dear"), "cheap": opener("cheap")}
    with MoveNetPose2D(first, world.finder, threads=threads, others=others, using="dear") as backend:
        assert isinstance(backend, Stepping)
        assert backend.networks == ("dear", "cheap")
        backend(world.frame(0, a=300))
        before = first.looks
        backend.use("cheap")
        if backend._coming is not None:
            backend._coming.result(10)
        backend(world.frame(1, a=300))
        assert (first.looks, made["cheap"].looks, backend.using) == (before, 1, "cheap")
        backend.use("dear")
        backend(world.frame(2, a=300))
        assert (first.looks, made["cheap"].looks) == (before + 1, 1)
        backend.use("cheap")
        backend(world.frame(3, a=300))
        assert opened == ["cheap"]  # what is open stays open
        with pytest.raises(ValueError, match="network: want one of dear, cheap, got 'other'"):
            backend.use("other")


def test_names_must_agree(world: World) -> None:
    with pytest.raises(ValueError, match="using: want one of cheap, got 'dear'"):
        MoveNetPose2D(world.network(), world.finder, others={"cheap": world.network}, using="dear")
