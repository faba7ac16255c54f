"""The command from end to end: real people, real files, read again by other readers."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from helpers_cli import MAIN, Result, command, start, walk_clip, walker, walker_2d
from helpers_video import MATRICES, corner_of, set_display_matrix, write_video

from sasmamba.app.config import LiveJob, LiveSettings
from sasmamba.app.io.video_file import VideoFile
from sasmamba.models.landmarks import as_captured, as_detected
from sasmamba.models.skeletons import H36M, MEDIAPIPE33_OF_COCO17, coco17_to_h36m17


class Render:
    """A finished run: the summary, the render, the poses."""

    def __init__(self, folder: Path, video: Path, *options: object) -> None:
        self.path, self.video = folder / "render.mp4", video
        self.result: Result = command(
            video, "--out", self.path, "--save-poses", folder / "poses.npz", "--json", *options
        )
        assert self.result.code == 0, self.result.err
        self.summary: dict[str, Any] = json.loads(self.result.out)
        self.poses = np.load(folder / "poses.npz")


@pytest.fixture(scope="module")
def park(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """A woman walks through a park; a man stands behind her."""
    return Render(tmp_path_factory.mktemp("park"), demo_clip, "--start", 1.5, "--max-frames", 45)


def test_the_render_is_a_video_that_players_open(park: Render) -> None:
    with av.open(str(park.path)) as file:
        video, sound = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")
        assert (video.frames, video.average_rate) == (45, 30)
        assert video.height == 720
        assert float(sound.duration * sound.time_base) == pytest.approx(1.5, abs=0.1)
        times = [f.pts * f.time_base for f in file.decode(video)]
    assert times == [Fraction(i, 30) for i in range(45)]
    reader = cv2.VideoCapture(str(park.path))
    assert sum(reader.read()[0] for _ in range(46)) == 45


def test_people_stand_upright(park: Render) -> None:
    joints, observed = park.poses["joints3d"], park.poses["observed"]
    assert 1 <= len(joints) <= 4
    assert np.isfinite(joints[observed]).all()
    assert_upright(joints[observed.sum(1).argmax()])
    height = np.nanmedian(joints[0, :, H36M.RIGHT_ANKLE, 1] - joints[0, :, H36M.HEAD_TOP, 1])
    assert 1.2 < height < 2.0


def assert_upright(joints: np.ndarray) -> None:
    """Head above pelvis above ankles, in camera axes with y down."""
    seen = joints[np.isfinite(joints).all((1, 2))]
    assert len(seen) > 0
    assert (seen[:, H36M.HEAD_TOP, 1] < -0.4).all()
    assert (seen[:, [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE], 1].max(1) > 0.5).all()


def test_the_summary_says_what_was_done(park: Render) -> None:
    summary = park.summary
    assert (summary["frames"], summary["written"], summary["interrupted"], summary["problems"]) == (45, 45, False, [])
    assert summary["files"] == [str(park.path), str(park.path.with_name("poses.npz"))]
    assert {int(i): n for i, n in summary["people"].items()} == dict(
        zip(park.poses["track_id"].tolist(), park.poses["observed"].sum(1).tolist(), strict=True)
    )
    assert set(summary["stage_ms"]) == {"read", "2d", "track", "camera", "sides", "lift", "place", "draw", "encode"}
    assert all(ms >= 0 for ms in summary["stage_ms"].values())
    assert summary["fps"] == pytest.approx(45 / summary["seconds"])
    assert park.result.err == ""


def test_poses_begin_and_end_with_the_person(demo_clip: Path, tmp_path: Path) -> None:
    video = walk_clip(demo_clip, tmp_path / "clip.mp4", before=12, frames=20, after=20)
    poses = Render(tmp_path, video).poses
    assert len(poses["track_id"]) >= 1
    there = np.isin(np.arange(52), np.arange(12, 32))
    assert not poses["observed"][:, ~there].any()
    assert np.isnan(poses["joints3d"][:, ~there]).all()
    assert poses["observed"][:, there].any(0).mean() > 0.9


def test_a_clip_from_a_phone_held_upright(demo_clip: Path, tmp_path: Path) -> None:
    video = walk_clip(demo_clip, tmp_path / "clip.mp4", frames=12, turned=True)
    width, height = VideoFile(video).meta.width, VideoFile(video).meta.height
    render = Render(tmp_path, video)
    assert width > height
    assert (render.poses["width"], render.poses["height"]) == (width, height)
    assert_upright(render.poses["joints3d"][0])


@pytest.mark.parametrize("turn", MATRICES)
def test_the_picture_in_the_render_is_upright(tmp_path: Path, turn: str) -> None:
    video = write_video(tmp_path / "clip.mp4", 2, size=(480, 360), corner=True)
    set_display_matrix(video, MATRICES[turn], 480, 360)
    frame = next(iter(VideoFile(video)))
    render = Render(tmp_path, video)
    shown = next(iter(VideoFile(render.path))).bgr
    height = shown.shape[0]
    assert corner_of(shown[:, : height * frame.bgr.shape[1] // frame.bgr.shape[0]]) == corner_of(frame.bgr)


def test_a_variable_rate_stays_variable(tmp_path: Path) -> None:
    times = [Fraction(n, 600) for n in (0, 20, 41, 42, 160, 460, 480, 1000)]
    video = write_video(tmp_path / "clip.mp4", len(times), times=times)
    assert [f.time_s for f in VideoFile(video)] == times
    assert [f.time_s for f in VideoFile(Render(tmp_path, video).path)] == times


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(50)], ids=str)
def test_rate_and_sound_are_kept(tmp_path: Path, fps: Fraction) -> None:
    video = write_video(tmp_path / "clip.mp4", 20, fps=fps, audio="aac")
    with av.open(str(Render(tmp_path, video).path)) as file:
        assert file.streams.video[0].average_rate == fps
        assert file.streams.video[0].frames == 20
        sound = file.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(float(20 / fps), abs=0.06)


def test_the_render_goes_beside_the_video(tmp_path: Path) -> None:
    result = command(write_video(tmp_path / "clip.mp4", 2))
    assert result.code == 0
    assert f"written    {tmp_path / 'clip_3d.mp4'}" in result.out.splitlines()


def test_quiet_prints_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    assert command(write_video(tmp_path / "clip.mp4", 3, size=(320, 240)), "--quiet") == Result(0, "", "")


def test_2d_in_every_fourth_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    video = write_video(tmp_path / "clip.mp4", 23, size=(320, 240))
    render = Render(tmp_path, video, "--pose2d-every", 4)
    assert (render.summary["frames"], render.summary["detections"], render.summary["written"]) == (23, 7, 23)
    assert render.summary["people"] == {"1": 7}
    assert render.poses["pose2d_every"] == 4
    assert np.flatnonzero(render.poses["observed"][0]).tolist() == [0, 4, 8, 12, 16, 20, 22]
    assert np.isfinite(render.poses["joints3d"]).all()
    assert "7 of them detection frames" in command(video, "--pose2d-every", 4).out


#: The command with a walker in every frame; it ends by printing its peak memory in MiB.
MEASURED = """
import resource, sys
from helpers_cli import walker_2d
from sasmamba.app import pipeline
pipeline.open_pose2d = walker_2d
try:
    from sasmamba.app.cli.main import main; main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "linux" else 1 << 20))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read with the resource module")
def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """240 frames more, of which each is 0.7 MB, twice read, lifted and drawn."""

    def peak_mb(frames: int) -> int:
        video = write_video(tmp_path / "clip.mp4", frames, size=(640, 360))
        process = start(video, "--quiet", "--height", 128, code=MEASURED, PYTHONPATH=str(Path(__file__).parents[1]))
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        return int(out.split()[-1])

    few, many = peak_mb(90), list[int]()
    # what is kept is kept every time; what threads have not given back yet on a busy machine is not
    while len(many) < 3 and (not many or min(many) - few >= 60):
        many.append(peak_mb(330))
    assert min(many) - few < 60, (few, many)


# lift: 2D of one's own


def save(path: Path, keypoints: np.ndarray, skeleton: str = "coco17", **others: object) -> Path:
    meta = {"fps": 30.0, "width": 320, "height": 240, "skeleton": skeleton} | others
    np.savez(path, keypoints=keypoints.astype(np.float32), **meta)  # type: ignore[arg-type]
    return path


def lifted(tmp_path: Path, keypoints: np.ndarray, skeleton: str = "coco17", *options: str) -> np.ndarray:
    source = save(tmp_path / "in.npz", keypoints, skeleton)
    result = command("lift", source, tmp_path / "out.npz", *options)
    assert (result.code, result.out) == (0, f"{len(keypoints)} frames lifted to {tmp_path / 'out.npz'}\n"), result.err
    (bar,) = result.err.splitlines()
    assert bar.startswith("lifting ")
    assert f"{len(keypoints)}/{len(keypoints)} frames" in bar
    out = np.load(tmp_path / "out.npz")
    assert set(out.files) == {"joints3d", "fps", "skeleton", "model", "axes"}
    assert (float(out["fps"]), str(out["skeleton"]), str(out["model"])) == (30.0, "h36m17", "sasmamba-lean")
    assert str(out["axes"]) == "facing"
    assert out["joints3d"].dtype == np.float32
    assert out["joints3d"].shape == (len(keypoints), 17, 3)
    return out["joints3d"]


@pytest.mark.parametrize("frames", [1, 2, 243, 244])
def test_lift_makes_a_standing_person(tmp_path: Path, frames: int) -> None:
    joints = lifted(tmp_path, walker(frames))
    assert_upright(joints)
    np.testing.assert_array_equal(joints[:, H36M.PELVIS], 0)


def test_lift_repeats_itself_to_the_byte(tmp_path: Path) -> None:
    source = save(tmp_path / "in.npz", walker(300))
    assert command("lift", source, tmp_path / "a.npz").code == 0
    process = start("lift", source, tmp_path / "b.npz", code=MAIN)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("flip", [[], ["--no-flip"]], ids=["", "no flip"])
@pytest.mark.parametrize(("scale", "shift"), [(1, (700, -300)), (5, (0, 0)), (0.2, (10, 10)), (3, (-5000, 4000))])
def test_where_and_how_large_does_not_matter(
    tmp_path: Path, scale: float, shift: tuple[float, float], flip: list[str]
) -> None:
    near = walker(40)
    far = near.copy()
    far[..., :2] = near[..., :2] * scale + shift
    moved_mm = 1000 * np.abs(lifted(tmp_path, far, "coco17", *flip) - lifted(tmp_path, near, "coco17", *flip)).max()
    assert moved_mm < 1


def test_all_skeletons_show_the_same_person(tmp_path: Path) -> None:
    coco = walker(20)
    xy, score = coco17_to_h36m17(coco[..., :2], coco[..., 2])
    h36m = as_captured(np.concatenate([xy, score[..., None]], -1))
    mediapipe = np.zeros((20, 33, 3), np.float32)
    mediapipe[:, list(MEDIAPIPE33_OF_COCO17)] = coco
    want = lifted(tmp_path, coco)
    # a skeleton of motion capture has hips, shoulders and ankles where no detector sees them
    np.testing.assert_allclose(as_detected(lifted(tmp_path, h36m, "h36m17")), want, atol=1e-5)
    np.testing.assert_allclose(lifted(tmp_path, mediapipe, "mediapipe33"), want, atol=1e-5)


@pytest.mark.parametrize("mark", ["score 0", "score nan", "x nan"])
def test_missing_joints_are_masked(tmp_path: Path, mark: str) -> None:
    """What stands where a joint is missing means nothing, however it is marked."""
    points, plain = walker(20), walker(20)
    plain[5:9, 7:11] = 0
    points[5:9, 7:11, :2] = 1e6
    points[5:9, 7:11, 2 if mark.startswith("score") else 0] = 0 if mark == "score 0" else np.nan
    np.testing.assert_array_equal(lifted(tmp_path, points), lifted(tmp_path, plain))


def test_nobody_is_invented(tmp_path: Path) -> None:
    """Absent at both ends and for long in between: NaN there; a short gap is bridged."""
    points = walker(150)
    points[:10] = points[30:40] = points[60:110] = points[140:] = np.nan
    found = np.isfinite(lifted(tmp_path, points)).all((1, 2))
    want = np.zeros(150, bool)
    want[10:60] = want[110:140] = True
    np.testing.assert_array_equal(found, want)


# a file shown live


@pytest.mark.parametrize(
    "arguments",
    [
        ["{clip}", "--live"],
        ["--live", "{clip}"],
        ["{clip}", "--realtime"],
        ["run", "{clip}", "--live"],
        ["live", "{clip}", "--live"],
        ["live", "{clip}"],
    ],
    ids=" ".join,
)
def test_the_words_for_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    class Shown(Exception):
        pass

    def run_live(job: LiveJob, settings: LiveSettings, *_: object) -> None:
        raise Shown(job.source, settings.lookahead)

    monkeypatch.setattr("sasmamba.app.live.run_live.run_live", run_live)
    clip = str(tmp_path / "clip.mp4")
    with pytest.raises(Shown) as shown:
        command(*(a.format(clip=clip) for a in arguments), "--lookahead", 5)
    assert shown.value.args == (clip, 5)


def test_a_file_that_is_called_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    write_video(tmp_path / "--live.mp4", 2, size=(96, 64)).rename(tmp_path / "--live")
    assert command("run", "--out", "r.mp4", "--quiet", "--", "--live") == Result(0, "", "")
    assert (tmp_path / "r.mp4").is_file()


def test_help_names_the_words_for_live() -> None:
    assert all(word in command("run", "--help").out for word in ("--live", "--realtime"))
    assert "--live" in command("--help").out


# what it says about itself


@pytest.mark.parametrize("name", ["", "run", "lift", "doctor", "bench", "weights"])
def test_help_reads_well_at_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    result = command(*name.split(), "--help")
    assert (result.code, result.err) == (0, "")
    assert all(len(line) <= 80 for line in result.out.splitlines())
    assert "Usage: sasmamba-demo" in result.out
    assert "[bold]" not in result.out
    assert "…" not in result.out


def test_version() -> None:
    from importlib.metadata import version

    assert command("--version") == Result(0, f"sasmamba-demo {version('sasmamba-demo')}\n", "")
