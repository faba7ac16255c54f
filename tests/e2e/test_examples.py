"""The programs in examples/ run as they stand there, and say what is true."""

from __future__ import annotations

import csv
import io
import os
import re
import runpy
import subprocess
import sys
from collections import defaultdict
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from helpers_cli import command, walk_clip, walker
from helpers_motion import write_motion

from sasmamba.models.skeletons import COCO_TO_H36M, H36M

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Those that use a video get the clip's first backend that needs no large download, whatever lies in the cache.
IN_A_PROCESS = """
import runpy, sys
from sasmamba.app import weights
weights.obtain = lambda name: None
sys.argv = sys.argv[1:]
if __name__ == "__main__":
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def example_in_a_process(name: str, *arguments: object, folder: Path) -> str:
    """What an example prints by itself; it must end well."""
    launcher = folder / "launch.py"
    launcher.write_text(IN_A_PROCESS)
    done = subprocess.run(
        [sys.executable, launcher, EXAMPLES / name, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def example(name: str, *arguments: object, folder: Path) -> str:
    """The same in this process, where what it imports has been imported already."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.setattr(sys, "argv", [str(EXAMPLES / name), *map(str, arguments)])
        patch.chdir(folder)
        code = None
        try:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        except SystemExit as end:
            code = end.code
    assert not code, code
    return said.getvalue()


@pytest.fixture(scope="module")
def clip(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames of a woman walking."""
    return walk_clip(demo_clip, tmp_path_factory.mktemp("examples") / "walk.mp4", frames=20)


def test_every_example_is_tried_here() -> None:
    tried = Path(__file__).read_text()
    names = [path.name for path in EXAMPLES.glob("*.py")]
    assert [name for name in names if not re.search(rf'example(_in_a_process)?\("{name}"', tried)] == []


def test_video_to_csv(clip: Path, tmp_path: Path) -> None:
    said = example("video_to_csv.py", clip, "out.csv", folder=tmp_path)
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert "person 1: " in said
    assert {row["joint"] for row in rows} == {"left_wrist", "right_wrist", "left_ankle", "right_ankle"}
    places = defaultdict(list)
    for row in rows:
        places[row["person"], row["joint"]].append(float(row["z_m"]))
    height = {key: np.mean(z) for key, z in places.items()}
    woman = min(height, key=lambda who: height[who])[0]
    assert -0.1 < height[woman, "left_ankle"] < 0.4 < height[woman, "left_wrist"] < 1.3
    (man,) = {who for who, _ in height} - {woman}
    assert 1 < height[man, "left_ankle"] < 2.5, "he stands on a roof"


def test_opencv_loop(clip: Path, tmp_path: Path) -> None:
    said = example("opencv_loop.py", clip, folder=tmp_path)
    told = re.findall(r"^frame 19: person \d (.+), (.+) m across, (.+) m away$", said, re.M)
    man, woman = sorted(told, key=lambda person: float(person[1]))
    assert (man[0], woman[0]) == ("has a hand up", "is there")
    assert float(man[1]) < 0 < float(woman[1])
    assert all(3 < float(person[2]) < 10 for person in (man, woman))


def test_own_2d_to_3d(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", walker(50))
    assert "50 of 50 frames" in example("own_2d_to_3d.py", "in.npy", "out.npy", folder=tmp_path)
    keypoints = {"keypoints": walker(50), "fps": 30.0, "width": 320, "height": 240, "skeleton": "coco17"}
    np.savez(tmp_path / "in.npz", **keypoints)  # type: ignore[arg-type]
    assert command("lift", tmp_path / "in.npz", tmp_path / "out.npz", "--no-smooth", "-q").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), np.load(tmp_path / "out.npz")["joints3d"], atol=1e-6)


def test_batch(clip: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    (videos / "deep").mkdir(parents=True)
    (videos / "deep/walk.mp4").write_bytes(clip.read_bytes())
    (videos / "broken.mp4").write_bytes(b"not a video")
    said = example_in_a_process("batch.py", "videos", "renders", folder=tmp_path).splitlines()
    assert [line.partition(": ")[::2] for line in said][1] == ("deep/walk.mp4", "done")
    assert said[0].startswith("broken.mp4: failed ")
    assert {path.name for path in (tmp_path / "renders/deep").iterdir()} == {"walk_3d.mp4", "walk_3d.npz"}
    assert "deep/walk.mp4: kept" in example("batch.py", "videos", "renders", folder=tmp_path)


@pytest.fixture(scope="module")
def detections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy walking with missing joints, a short gap, and a long one."""
    rng = np.random.default_rng(0)
    coco = walker(230)
    coco[..., :2] += rng.normal(0, 1.5, (230, 17, 2))
    coco[..., 2] = rng.uniform(0.3, 1, (230, 17))
    coco[rng.random((230, 17)) < 0.05] = 0
    coco[3, 4, 0] = np.nan
    coco[:4] = coco[40:52] = coco[100:150] = coco[-2:] = 0
    path = tmp_path_factory.mktemp("detections") / "in.npz"
    np.savez(path, keypoints=coco, fps=30.0, width=320, height=240, skeleton="coco17")
    return path


def test_onnx_runtime_lifts_as_the_command_does(
    detections: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # windows so short that several overlap; the command takes as many frames as the lifter can
    monkeypatch.setattr("sasmamba.app.lifting.lifter.Lifter.frames", 60)
    assert command("export-onnx", "sasmamba-lean", tmp_path / "l.onnx", "--frames", 60).code == 0
    assert command("lift", detections, tmp_path / "want.npz", "--no-refine", "-q").code == 0
    said = example("onnx_runtime.py", "l.onnx", detections, "got.npz", folder=tmp_path)
    wanted, got = (np.load(tmp_path / name)["joints3d"] for name in ("want.npz", "got.npz"))
    assert np.isnan(wanted[[0, 3, 120, -1]]).all()
    assert np.isfinite(wanted[[4, 45, 99, 150, -3]]).all()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    assert np.nanmax(np.linalg.norm(got - wanted, axis=-1)) < 1e-3
    assert f"{np.isfinite(wanted).all((1, 2)).sum()} of 230 frames" in said


@pytest.mark.parametrize("frames", [27, 5])
def test_onnx_runtime_lifts_a_short_clip_as_the_command_does(tmp_path: Path, frames: int) -> None:
    np.savez(tmp_path / "in.npz", keypoints=walker(5), fps=30.0, width=320, height=240, skeleton="coco17")
    assert command("export-onnx", "sasmamba-lean", tmp_path / "l.onnx", "--frames", frames).code == 0
    assert command("lift", tmp_path / "in.npz", tmp_path / "want.npz", "--no-refine", "-q").code == 0
    example("onnx_runtime.py", "l.onnx", tmp_path / "in.npz", "got.npz", folder=tmp_path)
    wanted, got = (np.load(tmp_path / name)["joints3d"] for name in ("want.npz", "got.npz"))
    np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_onnx_runtime_says_which_window_it_needs(detections: Path, tmp_path: Path) -> None:
    assert command("export-onnx", "sasmamba-lean", tmp_path / "l.onnx", "--frames", 81).code == 0
    with pytest.raises(AssertionError, match="takes windows of 81 frames: export another with --frames 78"):
        example("onnx_runtime.py", "l.onnx", detections, "got.npz", folder=tmp_path)
    assert not (tmp_path / "got.npz").exists()


def test_its_joints_are_the_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import onnx_runtime

    made_of = np.zeros((17, 17), np.float32)
    for joint, parts in enumerate(onnx_runtime.MADE_OF.values()):
        made_of[joint, list(parts)] = list(parts.values())
    np.testing.assert_allclose(made_of, COCO_TO_H36M, atol=1e-6)


def test_finetune(tmp_path: Path) -> None:
    write_motion(tmp_path / "mine.npz", [("anna", "walk", 260), ("ben", "walk", 260)])
    write_motion(tmp_path / "general.npz", [("S1", "walk", 260)])
    said = example("finetune.py", "mine.npz", "general.npz", "ben", "run", 2, folder=tmp_path)
    last = said.splitlines()[-1]
    assert last.startswith("ben: ")
    assert last.endswith(f"use it with --lifter {Path('run/last.safetensors')}")
    assert (tmp_path / "run/last.safetensors").is_file()


def test_opensim_ik(tmp_path: Path) -> None:
    """From markers to OpenSim's inverse kinematics: a plain model of the person's size follows within a centimetre."""
    pytest.importorskip("opensim", reason="opensim, whose inverse kinematics this is, is not installed")
    sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
    from test_exports import scene, walking

    from sasmamba.app.export.formats import export_motion
    from sasmamba.app.export.options import ExportOptions

    take, placement = scene({1: walking(45)}, gap=range(20, 23))
    trc = export_motion(take, placement, tmp_path / "clip", ["trc"], options=ExportOptions(markers="opensim"))[0]
    said = example("opensim_ik.py", trc, "--out", "ik.mot", folder=tmp_path)
    found = re.search(r"42 frames, 16 markers: median error ([0-9.]+) mm", said)
    assert found, said
    assert float(found[1]) < 10
    lines = (tmp_path / "ik.mot").read_text().splitlines()
    assert lines[2] == "nRows=42"
    assert len(lines[7].split("\t")) == len(lines[6].split("\t"))


def stick_robot(knee_deg: float) -> str:
    """MJCF of a robot as large as `helpers_motion.walker`, ball joints throughout but for knees that bend so far."""

    def limb(name: str, at: str, joint: str, inside: str) -> str:
        return f'<body name="{name}" pos="{at}">{joint}<geom size=".04" type="sphere"/>{inside}</body>'

    ball, knee = '<joint type="ball"/>', f'<joint name="NAME" axis="0 1 0" limited="true" range="0 {knee_deg}"/>'
    legs = arms = ""
    for side, sign in (("left", 1), ("right", -1)):
        foot = limb(f"{side}_foot", "0 0 -.44", ball, '<geom type="box" size=".1 .03 .01" pos=".05 0 -.04"/>')
        shin = limb(f"{side}_shin", "0 0 -.45", knee.replace("NAME", f"{side}_knee"), foot)
        legs += limb(f"{side}_thigh", f"0 {0.13 * sign} 0", ball, shin)
        hand = limb(f"{side}_hand", "0 0 -.25", "", "")
        forearm = limb(f"{side}_lower_arm", "0 0 -.28", ball, hand)
        arms += limb(f"{side}_upper_arm", f"0 {0.16 * sign} .45", ball, forearm)
    torso = limb("torso", "0 0 0", ball, arms)
    pelvis = limb("pelvis", "0 0 1", "<freejoint/>", torso + legs)
    return f"<mujoco><worldbody>{pelvis}</worldbody></mujoco>"


@pytest.mark.parametrize("knee_deg", [150, 10])
def test_robot_retarget(tmp_path: Path, knee_deg: float) -> None:
    """A robot of the person's own size does as the person does, as MuJoCo has it, and a knee only what it can."""
    mujoco = pytest.importorskip("mujoco", reason="mujoco, whose robots these are, is not installed")
    pytest.importorskip("mink", reason="mink, whose inverse kinematics this is, is not installed")
    sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
    from test_exports import scene, walking

    from sasmamba.app.export.formats import export_motion

    world = walking(45)
    take, placement = scene({1: world}, gap=range(20, 23))
    npz, motion_json = export_motion(take, placement, tmp_path / "clip", ["npz", "json"])
    (tmp_path / "robot.xml").write_text(stick_robot(knee_deg))
    said = example("robot_retarget.py", npz, "--robot", "robot.xml", "--out", "npz.csv", folder=tmp_path)
    example("robot_retarget.py", motion_json, "--robot", "robot.xml", "--out", "json.csv", folder=tmp_path)
    with (tmp_path / "npz.csv").open() as file:
        names, *lines = csv.reader(file)
    assert [names[0], names[1], names[7]] == ["time_s", "root_x", "root_qz"]
    rows = np.array(lines, float)
    assert rows.shape == (42, len(names))
    with (tmp_path / "json.csv").open() as file:
        assert np.abs(np.array(list(csv.reader(file))[1:], float) - rows).max() < 0.05

    model = mujoco.MjModel.from_xml_path(str(tmp_path / "robot.xml"))
    data = mujoco.MjData(model)
    known = [f for f in range(45) if not 20 <= f < 23]
    off, bent = [], []
    for f, row in zip(known, rows, strict=True):
        data.qpos = row[1:]
        mujoco.mj_forward(model, data)
        bent.append(max(np.degrees(data.joint(f"{side}_knee").qpos[0]) for side in ("left", "right")))
        for side in ("left", "right"):
            for body, joint in (("shin", "KNEE"), ("foot", "ANKLE"), ("lower_arm", "ELBOW"), ("hand", "WRIST")):
                at = data.body(f"{side}_{body}").xpos - data.body("pelvis").xpos
                off.append(np.linalg.norm(at - (world[f, H36M[f"{side.upper()}_{joint}"]] - world[f, 0])))
    told = {line[:10].strip(): float(line[10:].split()[0]) for line in said.splitlines()[2:] if " cm  " in line}
    assert told.keys() == {"pelvis", "knee", "ankle", "elbow", "wrist"}
    if knee_deg == 150:
        assert np.median(off) < 0.01
        assert told["knee"] < 1
    else:
        assert max(bent) < 10.01
        assert re.search(r"reached by .*knee", said), said
        assert told["knee"] + told["pelvis"] > 1
