"""Generated clips: repeatable, true about themselves, and the proof that is made with them runs."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from helpers_motion import write_motion

from sasmamba.models.skeletons import POSETRACK
from sasmamba.training.articulated import ClipStyle, GeneratedClip, draw_clip
from sasmamba.training.motion import Motion, load_motion

STYLE = ClipStyle(input_px=(96, 128))


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Motion:
    path = tmp_path_factory.mktemp("motion") / "m.npz"
    write_motion(path, [("S1", "walk", 200), ("S2", "walk", 120)])
    return load_motion([path])


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [cv2.resize(rng.integers(0, 255, (6, 9, 3), np.uint8), (300, 200)) for _ in range(2)]


@pytest.fixture(scope="module")
def drawn(motion: Motion, pictures: list[np.ndarray]) -> list[GeneratedClip]:
    return [draw_clip(motion, pictures, (7, i), STYLE) for i in range(40)]


def test_a_seed_is_a_clip(motion: Motion, pictures: list[np.ndarray], drawn: list[GeneratedClip]) -> None:
    again = draw_clip(motion, pictures, (7, 3), STYLE)
    assert np.array_equal(again.frames, drawn[3].frames)
    assert np.array_equal(again.joints_px, drawn[3].joints_px)
    assert not np.array_equal(drawn[3].frames, drawn[4].frames)


def test_shapes_and_places(drawn: list[GeneratedClip]) -> None:
    for clip in drawn:
        assert (clip.frames.shape, clip.joints_px.shape) == ((5, 128, 96, 3), (5, 15, 2))
        middle = clip.joints_px[2]
        assert middle[POSETRACK.HEAD_TOP, 1] < middle[POSETRACK.HEAD_BOTTOM, 1]
        assert middle[[POSETRACK.LEFT_ANKLE, POSETRACK.RIGHT_ANKLE], 1].min() > middle[POSETRACK.LEFT_HIP, 1]
        # people face the camera within 60°, so that their left is on the right
        assert middle[POSETRACK.LEFT_HIP, 0] > middle[POSETRACK.RIGHT_HIP, 0]
        assert clip.head_px == pytest.approx(np.linalg.norm(middle[1] - middle[2]), rel=0.01)
        assert not (clip.occluded & ~clip.inside).any()
    assert np.mean([c.inside[2].mean() for c in drawn]) > 0.95


def test_what_hides_a_joint_moves_on(drawn: list[GeneratedClip]) -> None:
    hidden = np.stack([c.occluded for c in drawn])  # (n, 5, 15)
    assert 0.1 < hidden[:, 2].mean() < 0.5
    elsewhere = ~hidden[:, [0, 1, 3, 4]].all(1)
    assert (hidden[:, 2] & elsewhere).sum() > 0.9 * hidden[:, 2].sum()


def test_hidden_is_what_an_occluder_covers(motion: Motion, pictures: list[np.ndarray]) -> None:
    """The same clip with occluders too small to see: pictures differ at hidden joints and not at seen ones."""
    tiny = replace(STYLE, occluder_radius=(1e-3, 1.001e-3))
    large = replace(STYLE, occluder_radius=(0.12, 0.1201), occluders=1, exposure=1e-6)
    tiny = replace(tiny, occluders=1, exposure=1e-6)
    differ: dict[bool, list[float]] = {True: [], False: []}
    for i in range(30):
        a, b = (draw_clip(motion, pictures, (1, i), s) for s in (large, tiny))
        assert np.array_equal(a.joints_px, b.joints_px)
        # noise is drawn after the occluders, whose texture takes chance of its own; blurring leaves what is drawn
        fa, fb = (cv2.GaussianBlur(c.frames[2], (5, 5), 1.2).astype(float) for c in (a, b))
        fb *= fa[:8].mean() / fb[:8].mean()  # so does the exposure
        for (x, y), hidden, inside in zip(a.joints_px[2].round().astype(int), a.occluded[2], a.inside[2], strict=True):
            if inside:
                differ[bool(hidden)].append(float(np.abs(fa[y, x] - fb[y, x]).max()))
    assert np.median(differ[True]) > 40
    assert np.median(differ[False]) < 15


def test_figures_are_drawn_at_their_joints(motion: Motion) -> None:
    """On a grey background the changed pixels are about the joints, in every frame."""
    grey = [np.full((200, 300, 3), 128, np.uint8)]
    style = replace(STYLE, occluder_radius=(1e-3, 1.001e-3), occluders=1)
    for i in range(8):
        clip = draw_clip(motion, grey, (2, i), style)
        for t in range(5):
            frame = cv2.GaussianBlur(clip.frames[t], (3, 3), 1).astype(float)
            corner = np.median(frame.reshape(-1, 3), 0)
            body = np.abs(frame - corner).max(-1) > 20
            joints = clip.joints_px[t][clip.inside[t]].round().astype(int)
            on = [body[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].any() for x, y in joints]
            assert np.mean(on) > 0.85
            ys, xs = np.nonzero(body)
            low, high = clip.joints_px[t].min(0) - 12, clip.joints_px[t].max(0) + 12
            assert np.mean((xs > low[0]) & (xs < high[0]) & (ys > low[1]) & (ys < high[1])) > 0.97


@pytest.mark.parametrize("kind", [{"frames": 4}, {"frames": 0}, {"occluders": 0}])
def test_refuses(kind: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(kind))):
        replace(STYLE, **kind)


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = Path(__file__).parents[2] / "benchmarks"
    if not (folder / "glsmamba_proof.py").exists():
        pytest.skip("needs the repository's benchmarks, which are not installed")
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module("glsmamba_proof")


def test_the_proof_runs_and_goes_on(
    proof: ModuleType, tmp_path: Path, pictures: list[np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    write_motion(tmp_path / "m.npz", [("S1", "walk", 120), ("S2", "walk", 120)])
    (tmp_path / "pictures").mkdir()
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"pictures/{i}.png"), picture)
    given = [
        "--images",
        str(tmp_path / "pictures"),
        "--motion",
        str(tmp_path / "m.npz"),
        "--steps",
        "2",
        "--backbone-steps",
        "2",
        "--clips",
        "8",
        "--held-clips",
        "4",
        "--batch",
        "2",
        "--rows",
        "2",
        "--size",
        "32",
        "64",
        "--channels",
        "16",
        "--width",
        "8",
        "--out",
        str(tmp_path / "out"),
    ]
    proof.main(given)
    told = json.loads((tmp_path / "out/glsmamba_proof.json").read_text())
    assert (told["about"]["held_subject"], told["about"]["held_image"]) == ("S2", "1.png")
    names = ["mean pose", "backbone and its head"]
    names += [f"{n}, seed 0" for n in ("GLSMamba, five frames", "GLSMamba, one frame", "single-frame head")]
    assert list(told["results"]) == names
    for name in names[1:]:
        curve = told["results"][name]["curve"]
        assert [r["step"] for r in curve] == [1, 2]
        assert all(np.isfinite(r[k]) for r in curve for k in ("px", "px visible", "px occluded", "pckh"))
    assert (tmp_path / "out/glsmamba_proof.png").stat().st_size > 5000
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(names)
    proof.main([*given, "--resume", "--jobs", "2"])
    again = json.loads((tmp_path / "out/glsmamba_proof.json").read_text())
    figures = [{n: r["curve"][-1]["px"] for n, r in t["results"].items()} for t in (told, again)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-4)  # metrics.csv keeps six digits


def test_the_results_are_those_of_the_file(proof: ModuleType) -> None:
    folder = Path(proof.__file__ or "").parent
    told = json.loads((folder / "glsmamba_proof.json").read_text())
    assert proof.table(told["results"]) in (folder / "RESULTS.md").read_text()
    best, others = (
        told["results"]["GLSMamba, five frames, seed 0"],
        [told["results"][f"{name}, seed 0"] for name in ("GLSMamba, one frame", "single-frame head")],
    )
    assert all(best["curve"][-1]["px"] < other["curve"][-1]["px"] for other in others)
    assert (folder / "glsmamba_proof.png").exists()
