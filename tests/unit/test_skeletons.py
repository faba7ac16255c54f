"""One table of joints: names, mirrors and conversions agree with each other."""

from __future__ import annotations

import numpy as np
import pytest

from sasmamba.models.skeletons import (
    COCO,
    COCO_EDGES,
    COCO_MIRROR,
    COCO_TO_H36M,
    H36M,
    H36M_EDGES,
    H36M_MIRROR,
    H36M_PARENTS,
    coco17_to_h36m17,
    mediapipe33_to_coco17,
)


def test_published_joint_orders() -> None:
    """Human3.6M's 17 as VideoPose3D numbers them, COCO's as the dataset does."""
    assert [j.name for j in H36M][:4] == ["PELVIS", "RIGHT_HIP", "RIGHT_KNEE", "RIGHT_ANKLE"]
    assert (H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER, H36M.HEAD_TOP) == (11, 14, 10)
    assert (COCO.NOSE, COCO.LEFT_SHOULDER, COCO.RIGHT_ANKLE) == (0, 5, 16)
    assert H36M_PARENTS == (0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)


@pytest.mark.parametrize(("joints", "mirror"), [(H36M, H36M_MIRROR), (COCO, COCO_MIRROR)], ids=["h36m", "coco"])
def test_mirror_exchanges_sides_and_is_its_own_inverse(joints: type, mirror: tuple[int, ...]) -> None:
    assert [mirror[m] for m in mirror] == list(range(17))
    for j in joints:  # type: ignore[attr-defined]
        other = joints(mirror[j]).name  # type: ignore[call-arg]
        assert other == j.name.replace("LEFT", "?").replace("RIGHT", "LEFT").replace("?", "RIGHT")


def test_edges_are_a_tree_and_know_their_side() -> None:
    assert len(H36M_EDGES) == 16
    assert {e.b for e in H36M_EDGES} == set(range(1, 17))
    assert {e.side for e in H36M_EDGES if "LEFT" in H36M(e.b).name} == {"left"}
    assert all(e.side == "middle" for e in COCO_EDGES if e.a == COCO.LEFT_SHOULDER and e.b == COCO.RIGHT_SHOULDER)


def test_conversion_commutes_with_moving_scaling_and_mirroring() -> None:
    rng = np.random.default_rng(0)
    coco, score = rng.normal(size=(5, 17, 2)), np.ones((5, 17))
    h36m, _ = coco17_to_h36m17(coco, score)
    np.testing.assert_allclose(coco17_to_h36m17(coco * 3 + 7, score)[0], h36m * 3 + 7, atol=1e-5)
    mirrored, _ = coco17_to_h36m17(coco[:, list(COCO_MIRROR)] * [-1, 1], score)
    np.testing.assert_allclose(mirrored, h36m[:, list(H36M_MIRROR)] * [-1, 1], atol=1e-6)
    np.testing.assert_allclose(COCO_TO_H36M.sum(1), 1, atol=1e-6)


def test_a_joint_made_of_a_missing_joint_is_missing() -> None:
    score = np.full(17, 0.9)
    score[COCO.LEFT_HIP] = 0
    score[COCO.RIGHT_EAR] = 0.4
    joints, out = coco17_to_h36m17(np.ones((17, 2)), score)
    gone = {H36M.LEFT_HIP, H36M.PELVIS, H36M.SPINE}
    assert {H36M(i) for i in np.flatnonzero(out == 0)} == gone
    assert (joints[list(gone)] == 0).all()
    assert out[H36M.HEAD_TOP] == pytest.approx(0.4)


def test_mediapipe_landmarks_are_picked_by_name() -> None:
    """Numbers from MediaPipe's landmark chart: 11 left shoulder, 16 right wrist, 28 right ankle."""
    joints = np.arange(33.0)[:, None].repeat(2, 1)
    picked, _ = mediapipe33_to_coco17(joints, np.ones(33))
    assert picked[[COCO.NOSE, COCO.LEFT_SHOULDER, COCO.RIGHT_WRIST, COCO.RIGHT_ANKLE], 0].tolist() == [0, 11, 16, 28]
