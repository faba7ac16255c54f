"""A hip that is hidden for all of a clip: somebody has a pelvis all the same, and does not depend on where they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sasmamba.app.lifting.offline import tracked_rows
from sasmamba.app.types import Person2D
from sasmamba.models.hidden_hips import seen_as_h36m, with_trunk
from sasmamba.models.skeletons import COCO, H36M, coco17_to_h36m17

#: Somebody who stands and faces the camera, height 1.
STANDING = {
    "NOSE": (0.0, 0.08),
    "EYE": (0.03, 0.06),
    "EAR": (0.05, 0.07),
    "SHOULDER": (0.11, 0.19),
    "ELBOW": (0.14, 0.36),
    "WRIST": (0.15, 0.5),
    "HIP": (0.09, 0.5),
    "KNEE": (0.09, 0.74),
    "ANKLE": (0.09, 0.97),
}


def standing(at: tuple[float, float] = (300, 100), height: float = 400) -> tuple[NDArray, NDArray]:
    points = np.zeros((17, 2), np.float32)
    for joint in COCO:
        side, _, name = joint.name.partition("_")
        x, y = STANDING[name or side]
        points[joint] = at[0] + height * x * {"LEFT": 1, "RIGHT": -1}.get(side, 0), at[1] + height * y
    return points, np.full(17, 0.8, np.float32)


@pytest.mark.parametrize("hidden", [COCO.LEFT_HIP, COCO.RIGHT_HIP])
def test_a_hidden_hip_lies_where_the_shoulders_say(hidden: COCO) -> None:
    points, score = standing()
    whole, _ = coco17_to_h36m17(points, score)
    points[hidden], score[hidden] = 0, 0
    found, worth = seen_as_h36m(points, score)
    for joint in (H36M.PELVIS, H36M.SPINE, H36M[hidden.name]):
        assert np.linalg.norm(found[joint] - whole[joint]) < 0.02 * 400, joint.name
        assert 0 < worth[joint] < 0.8, "a guess is worth less than what was seen"


@pytest.mark.parametrize(
    "missing",
    [(), ("LEFT_HIP", "RIGHT_HIP"), ("LEFT_HIP", "LEFT_SHOULDER"), ("RIGHT_HIP", "LEFT_SHOULDER"), ("LEFT_KNEE",)],
)
def test_all_else_is_as_it_was_seen(missing: tuple[str, ...]) -> None:
    points, score = standing()
    score[[COCO[name] for name in missing]] = 0
    for found, plain in zip(seen_as_h36m(points, score), coco17_to_h36m17(points, score), strict=True):
        np.testing.assert_array_equal(found, plain)


def test_many_frames_at_once() -> None:
    people = [standing(), standing((700, 50), 300)]
    points, score = (np.stack(part) for part in zip(*people, strict=True))
    score[0, COCO.LEFT_HIP] = score[1, COCO.RIGHT_HIP] = 0
    for k in range(2):
        for together, alone in zip(seen_as_h36m(points, score), seen_as_h36m(points[k], score[k]), strict=True):
            np.testing.assert_array_equal(together[k], alone)


def test_where_somebody_is_does_not_matter() -> None:
    """Without a pelvis a window had no centre, and the corner of the picture took its place."""
    rows = []
    for at in ((300, 100), (900, 400)):
        points, score = standing(at)
        score[COCO.LEFT_HIP] = 0
        box = np.concatenate([points.min(0), points.max(0)]).astype(np.float32)
        rows.append(tracked_rows([Person2D(1, box, points, score)])[1])
    assert rows[0][H36M.PELVIS, 2] > 0
    centred = [row[:, :2] - row[H36M.PELVIS, :2] for row in rows]
    np.testing.assert_allclose(centred[0], centred[1], atol=1e-3)


BUST = [COCO[f"{side}_{joint}"] for side in ("LEFT", "RIGHT") for joint in ("HIP", "KNEE", "ANKLE")]


def bust(frames: int = 5, turned: bool = False) -> NDArray[np.float32]:
    """A window (F, 17, 3) of somebody of whom head, shoulders and arms are in the picture; lying, where turned."""
    points, score = standing()
    if turned:
        points = points[:, ::-1].copy()
    score[BUST] = 0
    joints, worth = seen_as_h36m(points, score)
    return np.repeat(np.concatenate([joints, worth[:, None]], 1)[None], frames, 0).astype(np.float32)


def test_whose_hips_are_out_of_the_picture_has_them_below_the_shoulders() -> None:
    """They gave lifters nothing to measure from, who answered with a trunk that leans by 40°."""
    seen, whole = bust(), coco17_to_h36m17(*standing())[0]
    found = with_trunk(seen)
    for joint in (H36M.PELVIS, H36M.SPINE, H36M.LEFT_HIP, H36M.RIGHT_HIP):
        assert np.linalg.norm(found[0, joint, :2] - whole[joint]) < 0.06 * 400, joint.name
        assert 0 < found[0, joint, 2] < 0.8, joint.name
    missing = [H36M.LEFT_KNEE, H36M.RIGHT_KNEE, H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]
    assert not found[:, missing, 2].any(), "legs are not made up"
    upper = [j for j in H36M if j.name.split("_")[-1] not in ("PELVIS", "SPINE", "HIP")]
    np.testing.assert_array_equal(found[:, upper], seen[:, upper])


def test_who_lies_has_hips_beside_the_shoulders() -> None:
    found = with_trunk(bust(turned=True))[0]
    along, across = found[H36M.PELVIS, :2] - found[H36M.THORAX, :2]
    assert along > 3 * abs(across)


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_hips_that_were_seen_now_and_then_are_left_to_the_lifter(share: float) -> None:
    window, points = bust(20), standing()
    joints, worth = seen_as_h36m(*points)
    window[: round(20 * share)] = np.concatenate([joints, worth[:, None]], 1)
    np.testing.assert_array_equal(with_trunk(window), window)


@pytest.mark.parametrize("side", ["LEFT", "RIGHT"])
def test_whose_one_side_is_hidden_has_a_pelvis(side: str) -> None:
    """Half out of the picture, or seen from the side: poses came out 247 mm off and now 117."""
    points, score = standing()
    score[[joint for joint in COCO if joint.name.startswith(side)]] = 0
    joints, worth = seen_as_h36m(points, score)
    window = np.repeat(np.concatenate([joints, worth[:, None]], 1)[None], 3, 0)
    found = with_trunk(window)[0]
    hip = found[H36M.LEFT_HIP if side == "RIGHT" else H36M.RIGHT_HIP]
    np.testing.assert_array_equal(found[H36M.PELVIS, :2], hip[:2])
    assert not found[H36M[f"{side}_HIP"]].any(), "the lifter has learned to do without one hip"


def test_who_shows_one_shoulder_has_hips_below_it() -> None:
    window = bust()
    window[:, [H36M.THORAX, H36M.LEFT_SHOULDER, H36M.HEAD_TOP]] = 0
    found, shoulder = with_trunk(window)[0], window[0, H36M.RIGHT_SHOULDER]
    assert found[H36M.PELVIS, 1] > shoulder[1] + 50
    assert found[H36M.PELVIS, 0] == shoulder[0]


def test_of_a_face_alone_nothing_can_be_told() -> None:
    window = bust()
    window[:, [H36M.THORAX, H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER, H36M.HEAD_TOP], 2] = 0
    np.testing.assert_array_equal(with_trunk(window), window)
