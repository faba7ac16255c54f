"""Converters: small files in the field's own layouts come out as the walker that went in."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_motion import walker, write_rig
from numpy.typing import NDArray

from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M, H36M_PARENTS
from sasmamba.training.cameras import load_rig
from sasmamba.training.converters import H36M_OF_3DHP, H36M_OF_32, convert_files
from sasmamba.training.pairs import has_pairs, paired_windows
from sasmamba.training.read_bvh import read_bvh
from sasmamba.training.schema import read_motion_file

T = 50
FOCAL = 1147.0


def world() -> NDArray:
    joints, root = walker(T)
    return joints + root[:, None]


#: A camera 4 m from the middle that looks along world +x, level: x right is -y, y down is -z.
R_WORLD_CAM = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])


def in_camera(tilt: float = 0.0) -> NDArray:
    c, s = np.cos(tilt), np.sin(tilt)
    look = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ R_WORLD_CAM
    return (world() - [-4, 0, 1.2]) @ look.T


def bones(joints: NDArray) -> NDArray:
    return np.linalg.norm(joints - joints[:, list(H36M_PARENTS)], axis=-1)


def read(path: Path) -> tuple[NDArray, dict[str, NDArray]]:
    z = read_motion_file(path)
    return z["joints"] / 1e4, z


def upright(joints: NDArray) -> float:
    """Degrees between the vertical and the walker's spine, on average; its feet trail, which leans it 5° forward."""
    up = (joints[:, H36M.THORAX]).mean(0)
    return float(np.degrees(np.arccos(up[2] / np.linalg.norm(up))))


def image_25d(cam: NDArray) -> tuple[NDArray, NDArray]:
    """joint3d_image and 2.5d_factor of joints in camera axes, as MotionBERT's file defines them."""
    factor = 1000 * cam[:, 0, 2] / FOCAL
    pixels = cam[..., :2] / cam[..., 2:] * FOCAL + [500, 501]
    depth = (cam[..., 2] - cam[:, :1, 2]) * 1000 / factor[:, None]
    return np.concatenate([pixels, depth[..., None]], -1), factor


def motionbert_file(path: Path, **changes: Any) -> Path:
    image, factor = image_25d(in_camera())
    part = {
        "joint_2d": image[..., :2].astype(np.float32),
        "confidence": np.full((T, 17, 1), 0.9, np.float32),
        "joint3d_image": image.astype(np.float32),
        "camera_name": np.array(["54138969"] * T),
        "source": ["s_09_act_02_subact_01_ca_01"] * T,
    }
    test = part | {"2.5d_factor": factor, "joints_2.5d_image": image * factor[:, None, None], "action": ["Walk"] * T}
    path.write_bytes(pickle.dumps({"train": part, "test": test} | changes))
    return path


def test_motionbert(tmp_path: Path) -> None:
    clips = convert_files("motionbert", [motionbert_file(tmp_path / "h.pkl")], tmp_path / "m.npz")
    joints, z = read(tmp_path / "m.npz")
    assert [c.name.partition("/")[0] for c in clips] == ["train", "test"]
    assert set(z["clip_subject"]) == {"S9"}
    assert z["clip_action"].tolist() == ["act_02", "Walk"]
    assert z["clip_fps"].tolist() == [50, 50]
    train, test = joints[:T], joints[T:]
    np.testing.assert_allclose(bones(test), bones(walker(T)[0]), atol=1e-3)
    # without a factor the scale is that of some adult
    np.testing.assert_allclose(bones(train)[:, 1:], bones(walker(T)[0])[:, 1:], rtol=0.2)
    assert upright(test) < 7
    ankles = joints + z["root"][:, None]
    assert abs(ankles[:, [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE], 2].min() - 0.08) < 0.05
    np.testing.assert_allclose(z["keypoints"][..., 2], 0.9, atol=1e-6)
    assert np.abs(z["keypoints"][..., :2]).max() < 0.5


def test_motionbert_with_cameras(tmp_path: Path) -> None:
    rig_file = write_rig(tmp_path / "c.json", ["S9"])
    cameras = load_rig(rig_file).cameras
    R, position = cameras.R_world_cam[0].double().numpy(), cameras.position[0].double().numpy()
    image, factor = image_25d((world() - position) @ R.T)
    part = {
        "joint_2d": image[..., :2],
        "confidence": np.ones((T, 17)),
        "joint3d_image": image,
        "2.5d_factor": factor,
        "camera_name": ["54138969"] * T,
        "source": ["s_09_act_02_subact_01_ca_01"] * T,
        "action": ["Walk"] * T,
    }
    (tmp_path / "h.pkl").write_bytes(pickle.dumps({"test": part}))
    convert_files("motionbert", [tmp_path / "h.pkl"], tmp_path / "m.npz", cameras=rig_file)
    joints, z = read(tmp_path / "m.npz")
    np.testing.assert_allclose(joints, walker(T)[0], atol=1e-3)
    np.testing.assert_allclose(z["root"], walker(T)[1], atol=6e-3)  # the principal point is taken to be the middle


def test_videopose3d(tmp_path: Path) -> None:
    all_32 = np.random.default_rng(0).normal(size=(T, 32, 3))
    all_32[:, list(H36M_OF_32)] = world()
    table = {"S1": {"Walking 1": all_32.astype(np.float32)}, "S9": {"Walking": world()}}
    np.savez_compressed(tmp_path / "v.npz", positions_3d=np.array(table, dtype=object))
    convert_files("videopose3d", [tmp_path / "v.npz"], tmp_path / "m.npz")
    joints, z = read(tmp_path / "m.npz")
    np.testing.assert_allclose(joints, np.tile(walker(T)[0], (2, 1, 1)), atol=1e-4)
    assert z["clip_subject"].tolist() == ["S1", "S9"]
    assert z["clip_action"].tolist() == ["walking", "walking"]


def hp_take(tilt: float) -> dict[str, NDArray]:
    cam = in_camera(tilt) * 1000
    ours = np.empty_like(cam)
    ours[:, list(H36M_OF_3DHP)] = cam
    return {"data_3d": ours, "data_2d": ours[..., :2] / ours[..., 2:] * 1500 + 1024}


def test_3dhp_training(tmp_path: Path) -> None:
    """Two cameras, one of which looks down by 15°: standing people tell."""
    table = {"S2 Seq1": [{"0": hp_take(0.0), "4": hp_take(np.radians(15))}]}
    np.savez_compressed(tmp_path / "d.npz", data=np.array(table, dtype=object))
    clips = convert_files("3dhp", [tmp_path / "d.npz"], tmp_path / "m.npz")
    assert [c.name for c in clips] == ["S2/Seq1/0", "S2/Seq1/4"]
    joints, z = read(tmp_path / "m.npz")
    assert z["clip_fps"].tolist() == [25, 25]
    for part in (joints[:T], joints[T:]):
        np.testing.assert_allclose(bones(part), bones(walker(T)[0]), atol=5e-4)
        assert upright(part) < 7


def test_3dhp_test_set(tmp_path: Path) -> None:
    """Frames marked as not valid part the take."""
    valid = np.ones(T)
    valid[20:24] = 0
    table = {"TS1": hp_take(0.0) | {"valid": valid}}
    np.savez_compressed(tmp_path / "d.npz", data=np.array(table, dtype=object))
    clips = convert_files("3dhp", [tmp_path / "d.npz"], tmp_path / "m.npz")
    assert [len(c.joints) for c in clips] == [20, T - 24]


@pytest.mark.parametrize("people", [True, False], ids=["save-poses", "lift"])
def test_own_poses(tmp_path: Path, people: bool) -> None:
    cam = in_camera()
    poses = (cam - cam[:, :1]).astype(np.float32)
    poses[30] = np.nan
    keypoints = np.concatenate([cam[..., :2] / cam[..., 2:] * 1000 + [960, 540], np.ones((T, 17, 1))], -1)
    keypoints[3, 4] = 0
    arrays = {"joints3d": poses, "keypoints": keypoints}
    if people:
        arrays = {k: v[None] for k, v in arrays.items()}
    np.savez(tmp_path / "p.npz", **arrays, fps=30.0, width=1920, height=1080)
    clips = convert_files("poses", [tmp_path / "p.npz"], tmp_path / "m.npz", subject="me")
    assert [len(c.joints) for c in clips] == [30, 19]
    joints, z = read(tmp_path / "m.npz")
    np.testing.assert_allclose(bones(joints[:30]), bones(walker(T)[0])[:30], atol=5e-4)
    assert z["clip_fps"].tolist() == [30, 30]
    assert (z["keypoints"][3, 4] == 0).all()
    assert upright(joints) < 7


def bvh_text(scale: float, names: dict[str, str], end_site: bool = True) -> str:
    """A standing skeleton that turns its left knee by 90° in the second of three frames; y up, z forward."""
    n = names.get

    def joint(name: str, offset: tuple[float, ...], inner: str = "", kind: str = "JOINT") -> str:
        place = " ".join(f"{v * scale:.4f}" for v in offset)
        return f"{kind} {n(name, name)}\n{{\nOFFSET {place}\nCHANNELS 3 Zrotation Xrotation Yrotation\n{inner}\n}}\n"

    def leg(side: str, x: float) -> str:
        return joint(f"{side}UpLeg", (x, 0, 0), joint(f"{side}Leg", (0, -0.45, 0), joint(f"{side}Foot", (0, -0.44, 0))))

    def arm(side: str, x: float) -> str:
        hand = joint(f"{side}Hand", (x, 0, 0))
        return joint(f"{side}Arm", (x, 0.42, 0), joint(f"{side}ForeArm", (x * 1.7, 0, 0), hand))

    end = f"End Site\n{{\nOFFSET 0 {0.17 * scale:.4f} 0\n}}" if end_site else ""
    spine = joint("Neck", (0, 0.48, 0), joint("Head", (0, 0.1, 0), end))
    limbs = leg("Left", 0.13) + leg("Right", -0.13) + spine + arm("Left", 0.16) + arm("Right", -0.16)
    root = joint("Hips", (0, 0, 0), limbs)
    root = root.replace("CHANNELS 3", "CHANNELS 6 Xposition Yposition Zposition", 1).replace("JOINT", "ROOT", 1)
    count = root.count("CHANNELS")
    rows = []
    for bent in (0, 90, 0):
        row = [0, 0.9 * scale, 0, *[0] * (3 * count)]
        row[6 + 3 + 1] = bent  # root, left hip, then the left knee's X rotation
        rows.append(" ".join(f"{v:.3f}" for v in row))
    return "HIERARCHY\n" + root + "MOTION\nFrames: 3\nFrame Time: 0.0333333\n" + "\n".join(rows) + "\n"


POSER = {
    f"{a}{b}": f"{a[0].lower()}{c}"
    for a in ("Left", "Right")
    for b, c in (
        ("UpLeg", "Thigh"),
        ("Leg", "Shin"),
        ("Foot", "Foot"),
        ("Arm", "Shldr"),
        ("ForeArm", "ForeArm"),
        ("Hand", "Hand"),
    )
}
MIXAMO = {k: f"mixamorig:{k}" for k in ("Hips", "LeftUpLeg", "LeftLeg", "Neck", "Head")}


@pytest.mark.parametrize("scale", [1.0, 100.0, 1000.0, 39.37], ids=["m", "cm", "mm", "inch"])
@pytest.mark.parametrize("names", [{}, POSER, MIXAMO], ids=["plain", "poser", "mixamo"])
def test_bvh(tmp_path: Path, scale: float, names: dict[str, str]) -> None:
    (tmp_path / "b.bvh").write_text(bvh_text(scale, names))
    convert_files("bvh", [tmp_path / "b.bvh"], tmp_path / "m.npz")
    joints, z = read(tmp_path / "m.npz")
    assert z["clip_fps"][0] == pytest.approx(30, rel=1e-3)
    np.testing.assert_allclose(z["root"][0], [0, 0, 0.9], atol=2e-3)
    # y up and z forward became z up and x forward; left is +y
    np.testing.assert_allclose(joints[0, H36M.LEFT_ANKLE], [0, 0.13, -0.89], atol=2e-3)
    np.testing.assert_allclose(joints[1, H36M.LEFT_ANKLE], [-0.44, 0.13, -0.45], atol=2e-3)
    np.testing.assert_allclose(joints[1, H36M.RIGHT_ANKLE], [0, -0.13, -0.89], atol=2e-3)
    np.testing.assert_allclose(joints[0, H36M.HEAD_TOP], [0, 0, 0.75], atol=2e-3)
    np.testing.assert_allclose(joints[0, H36M.NOSE], [0.055, 0, 0.615], atol=2e-3)


def test_bvh_without_end_sites(tmp_path: Path) -> None:
    (tmp_path / "b.bvh").write_text(bvh_text(1.0, {}, end_site=False))
    convert_files("bvh", [tmp_path / "b.bvh"], tmp_path / "m.npz")
    assert 0.6 < read(tmp_path / "m.npz")[0][0, H36M.HEAD_TOP, 2] < 0.8


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(lambda s: s.replace("LeftFoot", "LeftThing"), "no joint is named", id="unknown names"),
        pytest.param(lambda s: s[: len(s) // 4], "not closed|breaks off", id="cut in the skeleton"),
        pytest.param(lambda s: s[: s.index("Frame Time")], "breaks off", id="cut before the frames"),
        pytest.param(lambda s: s[:-20], "got .* numbers", id="cut in the frames"),
        pytest.param(lambda s: "hello", "HIERARCHY", id="no BVH"),
    ],
)
def test_bad_bvh(tmp_path: Path, change: Any, sentence: str) -> None:
    path = tmp_path / "b.bvh"
    path.write_text(change(bvh_text(1.0, {})))
    with pytest.raises(UserError, match=sentence):
        convert_files("bvh", [path], tmp_path / "m.npz")
    assert not (tmp_path / "m.npz").exists()


def test_bvh_rotation_order(tmp_path: Path) -> None:
    """Channels Z, X, Y mean R = Rz Rx Ry, about the joint's own parent."""
    (tmp_path / "b.bvh").write_text(
        "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\nJOINT b\n{\nOFFSET 1 0 0\n"
        "CHANNELS 0\nEnd Site\n{\nOFFSET 0 0 2\n}\n}\n}\nMOTION\nFrames: 1\nFrame Time: 0.04\n90 90 0\n"
    )
    p = read_bvh(tmp_path / "b.bvh").positions()[0]
    np.testing.assert_allclose(p[1], [0, 1, 0], atol=1e-12)
    # Rx(90) takes z to -y, Rz(90) takes -y to x
    np.testing.assert_allclose(p[2], [2, 1, 0], atol=1e-12)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, ("evil-was-here",)


def test_pickles_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h.pkl").write_bytes(pickle.dumps({"train": _Evil()}))
    np.savez(tmp_path / "v.npz", positions_3d=np.array({"S1": _Evil()}, dtype=object))
    for kind, name in (("motionbert", "h.pkl"), ("videopose3d", "v.npz")):
        with pytest.raises(UserError, match="mkdir"):
            convert_files(kind, [tmp_path / name], tmp_path / "m.npz")
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize("kind", ["motionbert", "videopose3d", "3dhp", "bvh", "poses"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04hello", b"PK\x03\x04"], ids=["empty", "pickle", "zip"])
def test_rubbish(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(UserError, match="x"):
        convert_files(kind, [path], tmp_path / "m.npz")


def test_other_layouts(tmp_path: Path) -> None:
    motionbert_file(tmp_path / "h.pkl", train={"joint_2d": np.zeros((3, 17, 2))})
    with pytest.raises(UserError, match="not laid out as MotionBERT"):
        convert_files("motionbert", [tmp_path / "h.pkl"], tmp_path / "m.npz")
    np.savez(tmp_path / "v.npz", other=np.zeros(3))
    with pytest.raises(UserError, match="no entry 'positions_3d'"):
        convert_files("videopose3d", [tmp_path / "v.npz"], tmp_path / "m.npz")
    with pytest.raises(UserError, match="no converter 'c3d'"):
        convert_files("c3d", [tmp_path / "v.npz"], tmp_path / "m.npz")


def test_pairs_are_evaluation_windows(tmp_path: Path) -> None:
    """The detections see the very joints of the target: projecting it gives them back."""
    convert_files("motionbert", [motionbert_file(tmp_path / "h.pkl")], tmp_path / "m.npz")
    assert has_pairs([tmp_path / "m.npz"])
    w = paired_windows([tmp_path / "m.npz"], "S9", "test/*", 30, 3)
    assert w.xyc.shape == w.target.shape == (3, 30, 17, 3)
    cam = np.einsum("mtji,mtkj->mtki", w.R_cam_facing.numpy(), w.target.numpy())
    pelvis = in_camera()[:30, :1]
    seen = (cam[0] + pelvis)[..., :2] / (cam[0] + pelvis)[..., 2:] * FOCAL / 1002
    np.testing.assert_allclose(w.xyc[0, ..., :2].numpy(), seen, atol=2e-3)
    with pytest.raises(UserError, match="--frames"):
        paired_windows([tmp_path / "m.npz"], "", "*", 243, 1)
