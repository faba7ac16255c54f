"""MoveNet's stage with stand-ins for its networks: who is found, followed, lost, found again and not made up."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from helpers_world import HEIGHT, WIDTH, World

from sasmamba.app.pose2d import movenet
from sasmamba.app.pose2d.crop_network import crop_ms, estimate
from sasmamba.app.pose2d.movenet import MoveNetPose2D
from sasmamba.app.pose2d.multipose import MultiPoseDetector, find_people
from sasmamba.app.pose2d.squares import Square
from sasmamba.app.types import Cut, Frame, Person2D
from sasmamba.models.skeletons import COCO


def backend(world: World, **options: object) -> MoveNetPose2D:
    return MoveNetPose2D(world.network(), world.finder, **options)  # type: ignore[arg-type]


def xs(people: tuple[Person2D, ...]) -> list[int]:
    """Where people's hips are."""
    return [round(float(p.joints_px[[COCO.LEFT_HIP, COCO.RIGHT_HIP], 0].mean())) for p in people]


class TestFinding:
    def test_everybody_with_the_joints_of_the_closer_look(self) -> None:
        world = World()
        people = backend(world)(world.frame(0, a=200, b=500, c=800))
        assert sorted(xs(people)) == pytest.approx([200, 500, 800], abs=3)
        assert world.crops == 3
        assert all(p.track_id is None for p in people)
        assert all((p.score > 0.8).all() for p in people)

    def test_no_more_than_so_many(self) -> None:
        world = World()
        assert len(backend(world, max_people=2)(world.frame(0, a=200, b=500, c=800))) == 2

    def test_whom_the_closer_look_does_not_see_is_nobody(self) -> None:
        world = World()
        world.rough = {"coat"}
        assert xs(backend(world)(world.frame(0, a=200, coat=700))) == pytest.approx([200], abs=3)

    def test_eight_are_followed(self) -> None:
        world, counts = World(), []
        eyes = backend(world)
        for t in range(30):
            counts.append(len(eyes(world.frame(t, **{f"p{i}": 60 + 125 * i + t for i in range(8)}))))
        assert counts == [8] * 30

    @pytest.mark.parametrize("fps", [10, 30, 120])
    def test_how_often_is_a_matter_of_seconds(self, fps: int) -> None:
        world = World()
        eyes = backend(world)
        for t in range(4 * fps):
            eyes(world.frame(t, fps, a=300))
        steady = [s for s in world.finds if s > 2]
        assert np.diff(steady) == pytest.approx(movenet.FIND_S, abs=1.01 / fps)
        early = [s for s in world.finds if s < 0.9]
        assert np.diff(early) == pytest.approx(movenet.FIND_SOON_S, abs=1.01 / fps)

    def test_a_newcomer_is_found_soon(self) -> None:
        world = World()
        eyes = backend(world)
        counts = [len(eyes(world.frame(t, **{"a": 300} | ({"b": 700} if t >= 40 else {})))) for t in range(60)]
        assert counts[:40] == [1] * 40
        assert counts[40 + round(30 * movenet.FIND_S) :] == [2] * (20 - round(30 * movenet.FIND_S))


class TestFollowing:
    @pytest.mark.parametrize("fps", [10, 30, 120])
    def test_a_runner(self, fps: int) -> None:
        """900 px in a second and a half, more than three body widths in a step at the lowest rate."""
        world, far = World(noise_px=1.0), []
        eyes = backend(world)
        for t in range(round(1.5 * fps)):
            x = 60 + 600 * t / fps
            (person,) = eyes(world.frame(t, fps, runs=x))
            far.append(abs(xs((person,))[0] - x))
        assert max(far) < 6

    def test_who_is_lost_is_not_answered_and_found_again(self) -> None:
        world, counts = World(), []
        eyes = backend(world)
        for t in range(40):
            world.unseen = {"a"} if 10 <= t < 20 else set()
            counts.append(len(eyes(world.frame(t, a=300 + t))))
        assert counts == [1] * 10 + [0] * 10 + [1] * 20

    def test_two_in_one_place_are_seen_once(self) -> None:
        """One passes behind the other: two followers end on one person, and one of them lets go."""
        world = World()
        eyes = backend(world)
        for t in range(60):
            a, b = 200 + 10 * t, 800 - 10 * t
            world.unseen = {"b"} if abs(a - b) < 60 else set()
            people = eyes(world.frame(t, a=a, b=b))
            if world.unseen or abs(a - b) > 140:
                assert len(people) == (1 if world.unseen else 2), t

    def test_whose_joints_went_wrong_is_found_again_and_nobody_new(self) -> None:
        """Their crop shows a body that points the other way, hardly sure; a search shows them as they are."""
        world = World()
        eyes = backend(world)
        right, wrong_now, upright = eyes._network, False, 0

        def confused(crops: np.ndarray, /) -> np.ndarray:
            nonlocal wrong_now
            joints, wrong = right(crops), wrong_now  # type: ignore[misc]
            wrong_now = False
            return np.dstack([0.95 * joints[:, ::-1, :2], np.full((len(crops), 17), 0.32)]) if wrong else joints

        confused.side = right.side  # type: ignore[attr-defined, union-attr]
        eyes._network = confused  # type: ignore[assignment]
        for t in range(40):
            wrong_now = t >= 10  # the crop of whom it follows is the first in each frame
            (person,) = eyes(world.frame(t, a=300))
            upright += bool(person.joints_px[COCO.NOSE, 1] < person.joints_px[COCO.LEFT_ANKLE, 1])
        assert upright >= 13  # MultiPose searches every 0.3 s

    def test_who_stands_beside_somebody_who_stands_out(self) -> None:
        """A network that sees one person would answer with the other, whom this one's crop shows, too."""
        world = World()
        world.loud = {"a"}
        eyes = backend(world)
        for t in range(20):
            assert sorted(xs(eyes(world.frame(t, a=400 + t, b=560 - t)))) == [400 + t, 560 - t]

    def test_a_jump_across_the_picture_is_not_the_same_person(self) -> None:
        world = World()
        eyes = backend(world)
        for t in range(10):
            eyes(world.frame(t, a=200))
        eyes._find = lambda *_: None  # type: ignore[method-assign]  # nobody is found anew
        world.joints_in_crop = lambda crop: replaced  # type: ignore[method-assign]
        # the crop shows somebody at the very edge of the crop, half as large
        replaced = np.column_stack([np.linspace(0.9, 1.0, 17), np.linspace(0.0, 0.9, 17), np.full(17, 0.9)])
        assert eyes(world.frame(10, a=200)) == ()

    def test_what_multipose_never_confirms_and_nobody_is_sure_of_is_let_go(self) -> None:
        world, counts = World(), []
        eyes = backend(world)
        for t in range(100):
            frame = world.frame(t, ghost=400)
            world.people["ghost"] = replace(world.people["ghost"], score=np.full(17, 0.35, np.float32))
            if t > 5:
                eyes._finder = lambda bgr: []
            counts.append(len(eyes(frame)))
        assert counts[:60] == [1] * 60
        assert counts[-1] == 0

    def test_a_new_video_begins_anew(self) -> None:
        world = World()
        eyes = backend(world)
        eyes(world.frame(50, a=200))
        assert xs(eyes(world.frame(0, b=800))) == pytest.approx([800], abs=3)

    def test_a_new_shot_begins_anew(self) -> None:
        """Everybody is looked for in its first frame, and nobody of the last shot."""
        world = World()
        eyes = backend(world)
        eyes(world.frame(0, a=200))
        shown = world.frame(1, b=800)
        assert xs(eyes(replace(shown, cut=Cut(1, shown.time_s)))) == pytest.approx([800], abs=3)

    def test_results_repeat(self) -> None:
        runs = []
        for _ in range(2):
            world = World(noise_px=2.0)
            eyes = backend(world)
            runs.append([p.joints_px for t in range(20) for p in eyes(world.frame(t, a=200 + t, b=600))])
        np.testing.assert_array_equal(runs[0], runs[1])


class TestWhatIsNotSeen:
    def test_legs_below_the_picture_have_no_score(self) -> None:
        world = World()
        eyes = backend(world)
        frame = world.frame(0, a=400)
        world.people["a"] = replace(world.people["a"], joints_px=world.people["a"].joints_px + np.float32([0, 200]))
        (person,) = eyes(frame)
        below = person.joints_px[:, 1] > HEIGHT
        assert below.any()
        assert (person.score[below] == 0).all()
        assert (person.score[~below] > 0).all()
        assert person.box_px[3] <= HEIGHT

    def test_head_and_hands_are_all_there_is_of_an_arm_wrestler(self) -> None:
        world = World()
        frame = world.frame(0, a=400)
        score = np.full(17, 0.8, np.float32)
        score[COCO.LEFT_HIP :] = 0.22
        world.people["a"] = replace(world.people["a"], score=score)
        (person,) = backend(world)(frame)
        assert (person.score[COCO.LEFT_HIP :] == 0).all()
        assert (person.score[: COCO.LEFT_HIP] > 0).all()

    def test_too_few_joints_are_nobody(self) -> None:
        world = World()
        frame = world.frame(0, a=400)
        score = np.full(17, 0.1, np.float32)
        score[:4] = 0.9
        world.people["a"] = replace(world.people["a"], score=score)
        assert backend(world)(frame) == ()

    @pytest.mark.parametrize(
        "shape", [(0, 64), (1, 1), (64, 64), (1200, 64), (64, 1200), (4320, 7680)], ids=lambda s: f"{s[0]}x{s[1]}"
    )
    def test_pictures_of_any_size(self, shape: tuple[int, int]) -> None:
        world = World()
        eyes = MoveNetPose2D(world.network(), lambda bgr: [])
        assert eyes(Frame(0, Fraction(0), np.zeros((*shape, 3), np.uint8))) == ()


class TestEstimate:
    def test_depends_on_the_picture_and_the_square_alone(self) -> None:
        world = World()
        frame = world.frame(0, a=400)
        square = Square.centred(np.array([400, 255], np.float32), 400)
        one, other = (estimate(world.network(), frame.bgr, square) for _ in range(2))
        np.testing.assert_array_equal(one, other)
        assert one[:, :2] == pytest.approx(world.people["a"].joints_px, abs=3)

    def test_mirrored_too(self) -> None:
        """A network that is 8 px off to the right in every crop is right on the average."""
        bgr = np.zeros((200, 200, 3), np.uint8)
        bgr[:, :100] = 255
        joints = np.random.default_rng(0).uniform(0.2, 0.8, (17, 2))

        class Biased:
            side = 100

            def __call__(self, crops: np.ndarray) -> np.ndarray:
                from sasmamba.app.pose2d.squares import unmirrored

                true = np.column_stack([joints, np.full(17, 0.5)])
                out = np.stack([true if crop[0, 0, 0] else unmirrored(true) for crop in crops])
                out[..., 0] += 0.04
                return out.astype(np.float32)

        square = Square(0, 0, 200)
        plain, both = (estimate(Biased(), bgr, square, mirror=m) for m in (False, True))
        assert plain[:, 0] - 200 * joints[:, 0] == pytest.approx(8, abs=0.01)
        assert both[:, 0] == pytest.approx(200 * joints[:, 0], abs=0.01)
        assert both[:, 1] == pytest.approx(200 * joints[:, 1], abs=0.01)


class TestMultiPose:
    def test_people_once_the_surest_first(self) -> None:
        world = World()
        bgr = world.frame(0, a=300, b=700).bgr
        twice = [(*f[:2], sure) for f, sure in zip(world.finder(bgr) * 2, (0.3, 0.9, 0.8, 0.16), strict=True)]
        assert [sure for _, sure in find_people(lambda _: twice, bgr)] == [0.9, 0.8]

    def test_what_it_is_not_sure_of_and_what_is_outside(self) -> None:
        world = World()
        bgr = world.frame(0, a=300).bgr
        ((joints, box, _),) = world.finder(bgr)
        answers = [(joints, box, 0.14), (joints, box + 2000, 0.9), (joints, box * np.float32([1, 1, 0, 1]), 0.9)]
        assert find_people(lambda _: answers, bgr) == []

    def test_as_a_detector(self) -> None:
        world = World()
        found = MultiPoseDetector(world.finder)(world.frame(0, a=0, b=700))
        assert found.shape == (2, 5)
        assert found.dtype == np.float32
        assert (found[:, :4] >= 0).all()
        assert (found[:, 2] <= WIDTH).all()
        assert MultiPoseDetector(lambda _: [])(world.frame(1)).shape == (0, 5)


def test_numbers_out_of_range_and_a_closed_backend() -> None:
    world = World()
    with pytest.raises(ValueError, match="max_people: want 1 or more, got 0"):
        backend(world, max_people=0)
    with backend(world) as eyes:
        eyes(world.frame(0, a=300))
    with pytest.raises(ValueError, match="the backend is closed"):
        eyes(world.frame(9, a=300))


def test_how_long_a_look_takes_is_measured() -> None:
    assert 0 < crop_ms(World().network()) < 1000


def test_threads_change_nothing() -> None:
    """Crops and MultiPose side by side give, to the bit, what they give one after the other."""
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 256, (240, 320, 3), np.uint8) for _ in range(12)]

    class Hashing:
        """Joints that depend on every byte of the crop."""

        side = 64

        def __call__(self, crops: np.ndarray) -> np.ndarray:
            assert len(crops) == 1
            seed = int(crops.astype(np.int64).sum())
            joints = np.random.default_rng(seed).uniform(0.45, 0.55, (1, 17, 3)).astype(np.float32)
            joints[..., :2] += 0.3 * (np.array([[p % 3, p // 3] for p in range(17)]) / (2, 5) - 0.5)
            joints[..., 2] = 0.8
            return joints

    def finder(bgr: np.ndarray) -> list:
        people = []
        for x in (80.0, 240.0):
            joints = np.array([[x + 20 * (p % 3), 60 + 18 * (p // 3), 0.8] for p in range(17)], np.float32)
            people.append((joints, np.array([x - 20, 40, x + 60, 180], np.float32), 0.9))
        return people

    def people(threads: int) -> list[tuple[Person2D, ...]]:
        with MoveNetPose2D(Hashing(), finder, mirror=True, threads=threads) as backend:
            return [backend(Frame(i, Fraction(i, 30), picture)) for i, picture in enumerate(pictures)]

    alone, together = people(1), people(3)
    assert [len(p) for p in alone] == [len(p) for p in together]
    assert max(map(len, alone)) >= 2
    for one, other in zip(itertools.chain(*alone), itertools.chain(*together), strict=True):
        np.testing.assert_array_equal(one.joints_px, other.joints_px)
        np.testing.assert_array_equal(one.score, other.score)
