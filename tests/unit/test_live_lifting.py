"""Live lifting: one pose per frame from the first frame on, time kept through drops, steady but not late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.live_body import MOST_WINDOWS
from sasmamba.app.lifting.online import CARRIED_FRAMES, LiveLifting
from sasmamba.models.fitted_body import PARENTS, FittedBody, proportioned
from sasmamba.models.sasmamba import SasMambaConfig


class Echo:
    """Stands in for a lifter: returns its input in which missing rows are interpolated, plus `error` per window."""

    name, detected = "echo", False

    class model:
        config = SasMambaConfig(frames=243)

    def __init__(self, error: float = 0.0) -> None:
        self.windows: list[np.ndarray] = []
        self._error = error

    def many(
        self, windows: Iterable[np.ndarray], threads: int, newest: int | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        assert threads == 1
        for xyc in windows:
            asked = slice(0 if newest is None else max(0, len(xyc) - newest), len(xyc))
            yield self._lift(xyc)[asked], np.full((len(xyc), 17, 2), len(self.windows), np.float32)[asked]

    def body(self, windows: list[np.ndarray], lifted: list[np.ndarray]) -> FittedBody | None:
        return None

    def _lift(self, xyc: np.ndarray) -> np.ndarray:
        self.windows.append(xyc)
        out, found = xyc.copy(), np.flatnonzero(xyc[:, 0, 2] > 0)
        for joint in range(17):
            for axis in range(2):
                out[:, joint, axis] = np.interp(np.arange(len(xyc)), found, xyc[found, joint, axis])
        out[..., :2] += self._error * (-1) ** len(self.windows)
        return out


class Tall(Echo):
    """Finds that everybody's bones are a tenth longer than the metre that it draws them."""

    found = FittedBody(np.full(10, 0.1), np.full(10, 1.1))

    def __init__(self) -> None:
        super().__init__()
        self.learned: list[int] = []

    def body(self, windows: list[np.ndarray], lifted: list[np.ndarray]) -> FittedBody:
        self.learned.append(len(windows))
        return self.found

    def quickly_refined(self, window: np.ndarray, lifted: np.ndarray, body: FittedBody) -> np.ndarray:
        assert len(window) == len(lifted)
        return proportioned(lifted, body.proportions)

    def _lift(self, xyc: np.ndarray) -> np.ndarray:
        self.windows.append(xyc)
        return np.broadcast_to(DRAWN, (len(xyc), 17, 3)).copy()


#: A pose whose bones are all a metre long.
DRAWN = np.zeros((17, 3), np.float32)
for _joint in range(1, 17):
    DRAWN[_joint] = DRAWN[PARENTS[_joint]] + np.float32([1, 0, 0])


def row(frame: int, speed: float = 1.0) -> np.ndarray:
    return np.broadcast_to(np.array([speed * frame, 0, 1], np.float32), (17, 3)).copy()


def x_of(lifting: LiveLifting, frame: int) -> float:
    (pose,) = lifting.poses(frame)
    return float(pose.joints[0, 0])


@pytest.mark.parametrize("lookahead", [0, 5, 30])
def test_a_pose_for_every_frame_from_the_first_on(lookahead: int) -> None:
    echo = Echo()
    lifting = LiveLifting(echo, lookahead=lookahead, window=40, smooth=False)  # type: ignore[arg-type]
    for frame in range(100):
        lifting.push_joints(frame, {3: row(frame)})
        lifting.lift()
        if frame >= lookahead:
            assert x_of(lifting, frame - lookahead) == pytest.approx(frame - lookahead, abs=1e-3)
    assert max(len(w) for w in echo.windows) == 40
    assert len(echo.windows) == 100


@pytest.mark.parametrize("lookahead", [0, 5])
def test_frames_that_come_together_are_all_answered_as_by_whole_windows(lookahead: int) -> None:
    """Of a window no more is lifted than somebody will ask for; where frames had to wait, that is more."""

    class Whole(Lifter):
        def many(self, windows, *, newest, **settings):  # type: ignore[no-untyped-def, override]
            return super().many(windows, **settings)

    xyc = np.random.default_rng(0).normal(0, 4, (100, 17, 3)).astype(np.float32)
    xyc += np.array([300, 200, 0], np.float32) + np.linspace(0, 90, 17, dtype=np.float32)[:, None] * [0.3, 1, 0]
    xyc[..., 2] = 0.9
    answers: list[list[np.ndarray]] = []
    for kind in (Lifter, Whole):
        lifter = kind.load(flip=False, refine=False)
        lifting, came, next_one = LiveLifting(lifter, lookahead=lookahead, window=30), 0, 0
        answers.append([])
        for together in (1, 1, 40, 7, 1, 1, 25, 1, 3, 20):
            for _ in range(together):
                lifting.push_joints(came, {1: xyc[came]})
                came += 1
            lifting.lift()
            for frame in range(next_one, came - lookahead):
                answers[-1] += [pose.joints for pose in lifting.poses(frame)]
                next_one = frame + 1
    assert len(answers[0]) > 60
    np.testing.assert_array_equal(answers[0], answers[1])


def test_dropped_frames_do_not_shorten_time() -> None:
    echo = Echo()
    lifting = LiveLifting(echo, window=30, smooth=False)  # type: ignore[arg-type]
    half_seen = row(9)
    half_seen[5:, 2] = 0
    for frame, seen in ((0, row(0)), (3, row(3)), (4, row(4)), (9, half_seen), (22, row(22))):
        lifting.push_joints(frame, {1: seen})
    lifting.lift()
    window = echo.windows[-1]
    assert len(window) == 23
    np.testing.assert_allclose(window[:10, 0, 0], range(10), rtol=1e-6)  # on the straight way
    assert (window[5:9, 7] == 0).all()  # a joint that was not found at the end of the way was not on it
    assert (window[10:22] == 0).all()  # too long a way
    for frame in (0, 3, 4, 9, 22):
        assert x_of(lifting, frame) == pytest.approx(frame)
    assert not lifting._lives[1].seen[1]  # nobody claims to have seen them there


def test_smoothing_takes_out_jitter_without_much_lag() -> None:
    """Windows that disagree by ±10 mm about where somebody is who walks at 1 m/s."""

    def run(smooth: bool) -> np.ndarray:
        lifting = LiveLifting(Echo(error=0.01), window=30, smooth=smooth)  # type: ignore[arg-type]
        out = []
        for frame in range(60):
            lifting.push_joints(frame, {1: row(frame, speed=1 / 30)})
            lifting.lift()
            out.append(x_of(lifting, frame) - frame / 30)
        return np.array(out)

    rough, calm = run(False)[20:], run(True)[20:]
    assert np.abs(rough).max() == pytest.approx(0.01, abs=1e-4)
    assert np.abs(np.diff(calm)).mean() < 0.8 * np.abs(np.diff(rough)).mean()
    assert -0.012 < calm.mean() < 0  # a third of a frame's way behind


def test_without_time_people_are_carried_on() -> None:
    echo = Echo()
    lifting = LiveLifting(echo, window=30, smooth=False)  # type: ignore[arg-type]
    lifting.push_joints(0, {1: row(0), 2: row(0)})
    lifting.push_joints(1, {1: row(1), 2: row(1)})
    lifting.lift()
    lifting.push_joints(2, {1: row(2), 2: row(2)})
    lifting.lift(budget_s=0)  # one at least
    assert len(echo.windows) == 3
    fresh, carried = sorted(float(p.joints[0, 0]) for p in lifting.poses(2))[::-1]
    assert fresh == pytest.approx(2.0)
    assert carried == pytest.approx(1.8)  # a velocity of 1, fading to 0.8
    lifting.push_joints(3, {1: row(3), 2: row(3)})
    lifting.lift(budget_s=0)  # it is the other one's turn
    assert max(float(p.joints[0, 0]) for p in lifting.poses(3)) == pytest.approx(3.0)
    assert min(float(p.joints[0, 0]) for p in lifting.poses(3)) == pytest.approx(2.8)


def test_who_is_not_seen_fades_goes_and_comes_back() -> None:
    lifting = LiveLifting(Echo(), window=60, max_gap=30)  # type: ignore[arg-type]
    observed: dict[int, bool | None] = {}
    for frame in range(80):
        lifting.push_joints(frame, {1: row(frame)} if frame < 10 or frame >= 70 else {})
        lifting.lift()
        poses = lifting.poses(frame)
        observed[frame] = poses[0].observed if poses else None
    assert all(observed[f] is True for f in range(10))
    assert all(observed[f] is False for f in range(10, 10 + CARRIED_FRAMES))
    assert all(observed[f] is None for f in range(10 + CARRIED_FRAMES, 70))
    assert all(observed[f] is True for f in range(70, 80))


@pytest.mark.parametrize(
    "settings", [{"window": 1}, {"window": 244}, {"lookahead": -1}, {"window": 20, "lookahead": 19}, {"fps": 0}]
)
def test_settings_that_make_no_sense(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="want"):
        LiveLifting(Echo(), **settings)  # type: ignore[arg-type]


def test_frames_in_order() -> None:
    lifting = LiveLifting(Echo())  # type: ignore[arg-type]
    lifting.push_joints(5, {})
    with pytest.raises(ValueError, match="after 5"):
        lifting.push_joints(5, {})


def bone(lifting: LiveLifting, frame: int) -> float:
    (pose,) = lifting.poses(frame)
    lengths = np.linalg.norm(pose.joints[1:] - pose.joints[PARENTS[1:]], axis=-1)
    assert np.ptp(lengths) < 1e-5
    return float(lengths[0])


@pytest.mark.parametrize("lookahead", [0, 10])
def test_poses_come_to_have_the_persons_own_bones(lookahead: int) -> None:
    lifting = LiveLifting(Tall(), window=30, fps=30, lookahead=lookahead, smooth=False)  # type: ignore[arg-type]
    lengths = []
    for frame in range(120):
        lifting.push_joints(frame, {1: row(frame)})
        lifting.lift()
        lengths.append(bone(lifting, frame - lookahead) if frame >= lookahead else 1.0)
    assert lengths[:30] == pytest.approx([1.0] * 30)  # a full window comes first
    assert np.abs(np.diff(lengths)).max() < 0.01, "bones must not grow at once"
    assert lengths[-1] == pytest.approx(1.1, abs=0.002)


def test_whoever_comes_after_a_cut_has_a_body_of_their_own() -> None:
    lifting = LiveLifting(Tall(), window=30, fps=30, smooth=False)  # type: ignore[arg-type]
    for frame in range(90):
        lifting.push_joints(frame, {1: row(frame)})
        lifting.lift()
    lifting.start_anew()
    lifting.push_joints(90, {1: row(90)})
    lifting.lift()
    assert bone(lifting, 90) == pytest.approx(1.0)


def test_bodies_are_fitted_ever_more_rarely_to_few_windows() -> None:
    tall = Tall()
    lifting = LiveLifting(tall, window=10, fps=30)  # type: ignore[arg-type]
    for frame in range(3000):
        lifting.push_joints(frame, {1: row(frame)})
        lifting.lift()
    assert max(tall.learned) == MOST_WINDOWS
    assert len(tall.learned) < 30


def test_without_fitting_poses_are_as_they_were_lifted() -> None:
    tall = Tall()
    lifting = LiveLifting(tall, window=10, fit=False, smooth=False)  # type: ignore[arg-type]
    for frame in range(60):
        lifting.push_joints(frame, {1: row(frame)})
        lifting.lift()
    assert bone(lifting, 59) == pytest.approx(1.0)
    assert not tall.learned
