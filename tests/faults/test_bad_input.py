"""What people pass by mistake: one sentence that says what to do, the right exit code, and nothing left behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from helpers_cli import command, left_in, one_sentence
from helpers_video import add_tone, write_sound_only, write_video

from sasmamba.app.io.video_file import VideoFile


def without_frames(path: Path) -> None:
    """A video stream is announced, but only sound follows."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        add_tone(out, out.add_stream("aac", rate=44100, layout="mono"), 0.5)


def cut_before_the_index(path: Path) -> None:
    data = write_video(path, 20).read_bytes()
    path.write_bytes(data[: data.index(b"moov")])


MADE: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("milk, bread, butter\n" * 50),
    "noise": lambda path: path.write_bytes(random.Random(0).randbytes(50_000)),
    "nothing": lambda path: path.write_bytes(b""),
    "sound": write_sound_only,
    "no frames": without_frames,
    "cut": cut_before_the_index,
    "folder": lambda path: path.mkdir(),
    "video": lambda path: write_video(path, 12),
}

CASES = [
    ("no such file", None, [], 2, "There is no file {video}: check the name and the folder."),
    ("too long a name", "a" * 300, [], 2, "There is no file {video}: check the name and the folder."),
    ("folder", "folder", [], 2, "{video} is a folder, so --out must be one, too, not 'render.mp4'."),
    ("text", "text", [], 1, "{video} is not a video this tool can read: convert it to mp4 (H.264) and try again."),
    ("noise", "noise", [], 1, "{video} is not a video this tool can read: convert it to mp4 (H.264) and try again."),
    ("empty", "nothing", [], 1, "{video} is empty: fetch or record it again."),
    ("sound", "sound", [], 1, "{video} has no video in it, only sound or data: pass a file with a picture."),
    ("no frames", "no frames", [], 1, "{video} has no video in it, only sound or data: pass a file with a picture."),
    ("cut", "cut", [], 1, "{video} was cut off before its index was written: copy or record it again."),
    (
        "a moment",
        "video",
        ["--end", "1e-9"],
        2,
        "{video} has no frame from 0 s to 1e-09 s (it is 0.5 s long): take a longer part.",
    ),
    (
        "between two",
        "video",
        ["--start", "0.301", "--end", "0.302"],
        2,
        "{video} has no frame from 0.301 s to 0.302 s (it is 0.5 s long): take a longer part.",
    ),
    ("twice", "video", ["--height-m", "1=1.8,1=1.9"], 2, "--height-m names somebody twice: '1=1.8,1=1.9'."),
    ("late", "video", ["--start", "5"], 2, "{video} has no frame after 5 s (it is 0.5 s long): start earlier."),
    (
        "backwards",
        "video",
        ["--start", "0.3", "--end", "0.1"],
        2,
        "The part to read must start at 0 s or later and end after its start, not be 0.3 s to 0.1 s.",
    ),
    (
        "early",
        "video",
        ["--start", "-1"],
        2,
        "The part to read must start at 0 s or later and end after its start, not be -1 s to the end.",
    ),
    (
        "no number",
        "video",
        ["--start", "nan"],
        2,
        "The part to read must start at 0 s or later and end after its start, not be nan s to the end.",
    ),
    ("no frame", "video", ["--max-frames", "0"], 2, "At least one frame must be read, not 0."),
    ("a number of frames below 0", "video", ["--max-frames", "-1"], 2, "At least one frame must be read, not -1."),
    (
        "beyond all clocks",
        "video",
        ["--start", "1e300"],
        2,
        "No video has a frame at 1e+300 s.",
    ),
    (
        "ends at once",
        "video",
        ["--end", "0"],
        2,
        "The part to read must start at 0 s or later and end after its start, not be 0 s to 0 s.",
    ),
    ("nobody", "video", ["--max-people", "0"], 2, "--max-people must lie between 1 and 50, not 0."),
    (
        "a crowd",
        "video",
        ["--max-people", "1" + "0" * 30],
        2,
        "--max-people must lie between 1 and 50, not 1" + "0" * 30 + ".",
    ),
    ("person 0", "video", ["--person", "0"], 2, "--person is the number of somebody, 1 or more, not 0."),
    ("person below 0", "video", ["--person", "-3"], 2, "--person is the number of somebody, 1 or more, not -3."),
    (
        "centimetres",
        "video",
        ["--height-m", "180"],
        2,
        "A person's height must lie between 0.4 and 2.6 metres, not 180.",
    ),
    (
        "no height",
        "video",
        ["--height-m", "1=nan"],
        2,
        "A person's height must lie between 0.4 and 2.6 metres, not nan.",
    ),
    ("no metres", "video", ["--height-m", "tall"], 2, "--height-m wants metres, 1.80 or 1=1.80,2=1.65, not 'tall'."),
    (
        "height of person 0",
        "video",
        ["--height-m", "0=1.8"],
        2,
        "--height-m gives heights of people by their number, 1 or more, not 0.",
    ),
    (
        "no camera",
        "video",
        ["--intrinsics", "0,900,80,60"],
        2,
        "Intrinsics are pixels: fx and fy above 0, cx and cy in or near the picture, none beyond 1,000,000; not fx 0, "
        "fy 900, cx 80, cy 60.",
    ),
    (
        "half a camera",
        "video",
        ["--intrinsics", "900,900"],
        2,
        "--intrinsics wants four numbers fx,fy,cx,cy in pixels, not '900,900'.",
    ),
    (
        "another camera",
        "video",
        ["--intrinsics", "1e6,1e6,0,0"],
        2,
        "--intrinsics 1e+06,1e+06,0,0 cannot be of a picture of 64×48, it would show 0.00367°: give fx,fy,cx,cy in "
        "pixels of this video.",
    ),
    ("threads", "video", ["--threads", "0"], 2, "--threads must lie between 1 and 256, not 0."),
    ("jobs", "video", ["--jobs", "2"], 2, "--jobs is for a folder of videos; one video is done by one process."),
    (
        "cluster",
        "video",
        ["--cluster", "auto"],
        2,
        "--cluster is for a folder of videos; one video is done on one machine.",
    ),
    (
        "crops",
        "video",
        ["--pose2d", "hrnet", "--pose2d-size", "big"],
        2,
        "--pose2d-size wants HEIGHTxWIDTH, 384x288 say, not 'big'.",
    ),
    (
        "crops lying down",
        "video",
        ["--pose2d", "hrnet", "--pose2d-size", "288x384"],
        2,
        "--pose2d-size is HEIGHTxWIDTH in multiples of 32, 256x192 or 384x288 say, not 288x384.",
    ),
    (
        "crops for nobody",
        "video",
        ["--pose2d-size", "384x288"],
        2,
        "--pose2d-size is for --pose2d hrnet; the other backends' models tell it themselves.",
    ),
    ("device", "video", ["--device", "gpu"], 2, "--device must be auto, cpu or cuda, not 'gpu'."),
    (
        "2D",
        "video",
        ["--pose2d", "guess"],
        2,
        "--pose2d must be one of auto, movenet, movenet-lightning, mediapipe, hrnet, openmmlab, glsmamba, not 'guess'.",
    ),
    (
        "detector",
        "video",
        ["--detector", "hog"],
        2,
        "--detector must be one of auto, yolox, yolox-tiny, multipose, mediapipe, rtmdet, faster-rcnn, not 'hog'.",
    ),
    (
        "2D weights of nobody",
        "video",
        ["--pose2d-weights", "a.pth"],
        2,
        "--pose2d-weights needs --pose2d too, to say whose they are.",
    ),
    (
        "no 2D weights",
        "video",
        ["--pose2d", "hrnet", "--pose2d-weights", "a.pth"],
        1,
        "--pose2d-weights: there is no file a.pth.",
    ),
    ("seldom", "video", ["--pose2d-every", "0"], 2, "--pose2d-every must lie between 1 and 10, not 0."),
    ("too seldom", "video", ["--pose2d-every", "11"], 2, "--pose2d-every must lie between 1 and 10, not 11."),
    ("fov", "video", ["--fov", "nan"], 2, "--fov must lie between 10 and 150 degrees, not nan."),
    ("height", "video", ["--height", "10"], 2, "--height is the picture's, 64 to 4320 pixels, not 10."),
    ("high", "video", ["--height", "100000000"], 2, "--height is the picture's, 64 to 4320 pixels, not 100000000."),
    (
        "height of a person",
        "video",
        ["--height", "1.80"],
        2,
        "--height is the picture's, in whole pixels, not '1.80'; how tall people are is said with --height-m 1.80.",
    ),
    ("height in words", "video", ["--height", "nan"], 2, "--height is the picture's, in whole pixels, not 'nan'."),
    (
        "lifter",
        "video",
        ["--lifter", "nope"],
        2,
        "There is no lifter called 'nope'; there are sasmamba-lean, sasmamba-lean-live. One of your own is named by "
        "its .safetensors file.",
    ),
    ("suffix", "video", ["--out", "render.avi"], 2, "The render must end in .mp4 or .gif, not 'render.avi'."),
    ("poses", "video", ["--save-poses", "p.json"], 2, "Poses are saved as .npz, not 'p.json'."),
    (
        "onto itself",
        "video",
        ["--out", "{video}"],
        2,
        "The render would overwrite the video {video}; choose another --out.",
    ),
]


@pytest.mark.parametrize(("made", "options", "code", "says"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_one_sentence(tmp_path: Path, made: str | None, options: list[str], code: int, says: str) -> None:
    video = tmp_path / f"{made if made and made not in MADE else 'clip'}.mp4"
    if made in MADE:
        MADE[made](video)
    before = left_in(tmp_path)
    out = [] if "--out" in options else ["--out", tmp_path / "render.mp4"]
    result = command(video, *out, *(o.format(video=video) for o in options))
    assert one_sentence(result.err) == says.format(video=video)
    assert (result.code, result.out) == (code, "")
    assert left_in(tmp_path) == before


@pytest.mark.parametrize(
    ("word", "command_meant"), [("runn", "run"), ("Lift", "lift"), ("docter", "doctor"), ("export-onx", "export-onnx")]
)
@pytest.mark.parametrize("more", [[], ["v.mp4"]], ids=["alone", "with a video"])
def test_a_mistyped_command(word: str, command_meant: str, more: list[str]) -> None:
    result = command(word, *more)
    says = f"There is neither a command nor a file {word!r}; did you mean `sasmamba-demo {command_meant}`?"
    assert (result.code, one_sentence(result.err)) == (2, says)


def test_a_file_that_is_called_nearly_like_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runn").write_text("no video")
    assert one_sentence(command("runn").err).startswith("runn is not a video this tool can read")


@pytest.mark.parametrize("arguments", [["--outt", "x.mp4"], ["--start", "0:05"], ["--max-frames", "many"]], ids=str)
def test_mistyped_options(tmp_path: Path, arguments: list[str]) -> None:
    result = command(write_video(tmp_path / "clip.mp4", 2), *arguments)
    assert (result.code, result.out) == (2, "")
    assert arguments[0] in result.err
    assert left_in(tmp_path) == ["clip.mp4"]


def test_cuda_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = command(write_video(tmp_path / "clip.mp4", 2), "--device", "cuda")
    assert result.code == 1
    assert one_sentence(result.err).endswith("use --device cpu, or install torch with CUDA.")
    assert left_in(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize(
    ("name", "frames", "size"),
    [
        ("odd", 3, (161, 91)),
        ("small", 3, (33, 17)),
        ("dot", 2, (1, 1)),
        ("tall", 2, (20, 1600)),
        ("wide", 2, (1600, 20)),
        ("single", 1, (160, 120)),
    ],
)
def test_odd_videos_without_a_person(tmp_path: Path, name: str, frames: int, size: tuple[int, int]) -> None:
    video = write_video(tmp_path / "clip.mkv", frames, size=size, codec="ffv1", pix_fmt="yuv444p")
    result = command(video, "--out", tmp_path / "render.mp4", "--save-poses", tmp_path / "poses.npz")
    assert result.code == 0, result.err
    note = f"Note: Nobody was found in {video}; the render has no skeleton."
    assert any(line.startswith(note) for line in result.err.splitlines())
    assert sum(1 for _ in VideoFile(tmp_path / "render.mp4")) == frames
    poses = np.load(tmp_path / "poses.npz")
    assert poses["joints3d"].shape == (0, frames, 17, 3)
    assert left_in(tmp_path) == ["clip.mkv", "poses.npz", "render.mp4"]


def test_a_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((90, 120, 3), 90, np.uint8))
    assert command(tmp_path / "photo.png").code == 0
    assert sum(1 for _ in VideoFile(tmp_path / "photo_3d.mp4")) == 1


def test_a_truncated_video_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", 40, container_options={"movflags": "+faststart"}, gop=1, corner=True)
    data = video.read_bytes()
    video.write_bytes(data[: len(data) * 6 // 10])
    result = command(video, "--quiet")
    frames = sum(1 for _ in VideoFile(tmp_path / "clip_3d.mp4"))
    assert result.code == 0
    assert 5 < frames < 40
    assert f"Note: clip.mp4 is damaged: {frames} of 40 frames could be read." in result.err.splitlines()


@pytest.mark.parametrize("name", ["a b'c\"d.mp4", "🎥 ö.mp4", "[red]x[bold].mp4", "-dash.mp4", "a:b.mp4", "100%d.mp4"])
def test_any_name_will_do(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / name, 2)
    result = command("--out", f"3d {name}", "--", name)
    assert result.code == 0, result.err
    assert f"3d {name}" in result.out
    assert left_in(tmp_path) == sorted([name, f"3d {name}"])
