"""A folder of videos on the command line: a table, an exit code, and what is done stays done."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from helpers_cli import command, left_in, mounted_disk, one_sentence
from helpers_video import write_sound_only, write_video

from sasmamba.app.batch.run_batch import BatchReport
from sasmamba.app.io.video_file import VideoFile


def test_a_folder_becomes_a_folder(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    (clips / "b").mkdir(parents=True)
    write_video(clips / "a.mp4", 4, size=(160, 120))
    write_video(clips / "b/a b.mov", 3, size=(160, 120))
    first = command(clips, "--pose2d", "mediapipe", "--json", "--save-poses", "x.npz")
    assert first.code == 0, first.err
    told = json.loads(first.out)
    assert [(v["video"], v["state"], v["written"]) for v in told["videos"]] == [
        ("a.mp4", "done", 4),
        ("b/a b.mov", "done", 3),
    ]
    out = tmp_path / "clips_3d"
    assert told["out"] == str(out)
    assert [n for n in left_in(out) if not n.startswith(".")] == ["a_3d.mp4", "a_3d.npz", "b"]
    assert left_in(out / "b") == ["a b_3d.mp4", "a b_3d.npz"]

    (clips / "bad.mp4").write_text("no video")
    second = command(clips, "--pose2d", "mediapipe", "--save-poses", "x.npz")
    assert second.code == 1
    assert "0 done, 2 kept, 1 failed" in second.out
    assert "bad.mp4: " in second.err
    assert "convert it to mp4 (H.264) and try again." in second.err


def test_odd_names_broken_clips_and_links(tmp_path: Path) -> None:
    """One batch with everything that breaks careless programs; every clip gets its row and every failure its line."""
    clips = tmp_path / "-clips [red]"
    odd = ("-dash.mp4", 'it\'s "odd" 🙂.mp4', "two\nlines.mp4", "[bold]x[slash].mp4", "same.mp4", "same.mov")
    clips.mkdir()
    write_video(clips / odd[0], 2, size=(96, 64))
    for name in odd[1:]:
        shutil.copy(clips / odd[0], clips / name)
    (clips / "round").symlink_to(clips)  # a circle
    (clips / "nowhere.mp4").symlink_to("gone.mp4")
    (clips / "empty.mp4").touch()
    (clips / "cut off.mp4").write_bytes((clips / odd[0]).read_bytes()[:-200])
    write_sound_only(clips / "sound.mp4")
    out = clips / "renders"
    result = command("run", "--out", out, "--pose2d", "mediapipe", "--height", "64", "--jobs", "2", "--", clips)
    assert result.code == 1
    assert "6 done, 0 kept, 4 failed" in result.out
    assert sorted(n for n in left_in(out) if not n.startswith(".")) == sorted(
        [
            "-dash_3d.mp4",
            'it\'s "odd" 🙂_3d.mp4',
            "two\nlines_3d.mp4",
            "[bold]x[slash]_3d.mp4",
            "same.mp4_3d.mp4",
            "same.mov_3d.mp4",
        ]
    )
    for says in (
        f"nowhere.mp4: {clips}/nowhere.mp4 cannot be read (No such file or directory): it was moved away, or is a link "
        "that leads nowhere.",
        f"empty.mp4: {clips}/empty.mp4 is empty: fetch or record it again.",
        "cut off.mp4: ",
        "sound.mp4: ",
    ):
        assert says in result.err
    assert "bug" not in result.err
    again = command("run", "--out", out, "--pose2d", "mediapipe", "--height", "64", "--", clips)
    assert "0 done, 6 kept, 4 failed" in again.out


def test_a_disk_that_fills_up_half_way(tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch stops, says so, and what is there is whole; with more room it goes on."""
    monkeypatch.setattr("sasmamba.app.batch.run_batch._LEAST_FREE_BYTES", 0)
    (tmp_path / "clips").mkdir()
    for i in range(4):
        write_video(tmp_path / f"clips/{i}.mp4", 6, size=(160, 120))
    options = (tmp_path / "clips", "--out", small_disk / "out", "--pose2d", "mediapipe", "--save-poses", "x.npz")
    result = command(*options, "--quiet")
    assert result.code == 1
    assert re.search(r"could not be written: the disk is full; free some space", one_sentence(result.err))
    renders = sorted((small_disk / "out").glob("*_3d.mp4"))
    assert 1 <= len(renders) < 4
    assert [sum(1 for _ in VideoFile(path)) for path in renders] == [6] * len(renders)
    assert all(n.endswith((".mp4", ".npz")) or n.startswith(".sasmamba-batch.") for n in left_in(small_disk / "out"))
    assert ".sasmamba-batch.work" not in left_in(small_disk / "out")
    (small_disk / "ballast").unlink()
    result = command(*options)
    assert result.code == 0
    assert f"{4 - len(renders)} done, {len(renders)} kept, 0 failed" in result.out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for one render or two; skips where none can be mounted."""
    with mounted_disk(tmp_path / "disk", size_kib=400, free_kib=28) as folder:
        yield folder


def test_an_empty_folder(tmp_path: Path) -> None:
    result = command(tmp_path)
    assert result.code == 2
    assert one_sentence(result.err).startswith(f"There is no video in {tmp_path}")


def test_folders_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(
        "sasmamba.app.cli.folder.run_batch",
        lambda folder, out, *_, **__: asked.append(out) or BatchReport([], 0, []),
    )
    (tmp_path / "clips/deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "clips/deep")
    for arguments, out in (
        ((".",), tmp_path / "clips/deep_3d"),
        ((".", "--out", "x"), Path("x")),
        (("..",), tmp_path / "clips_3d"),
        (("../deep",), Path("../deep_3d")),
        (("/", "--out", "x"), Path("x")),
    ):
        told = command(*arguments)
        assert (told.code, asked.pop()) == (0, out), told.err
    told = command("/")
    assert (told.code, one_sentence(told.err)) == (2, "Nothing can lie beside /: say with --out where renders go.")


def test_a_lifter_that_is_not_there_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips/a.mp4", 2, size=(96, 64))
    for lifter in ("nope.safetensors", "posemamba-s", "no-such-name"):
        of_folder = command(tmp_path / "clips", "--pose2d", "mediapipe", "--lifter", lifter, "--quiet")
        of_video = command(tmp_path / "clips/a.mp4", "--pose2d", "mediapipe", "--lifter", lifter, "--quiet")
        assert (of_folder.code, one_sentence(of_folder.err)) == (of_video.code, one_sentence(of_video.err))
    nope = command(tmp_path / "clips", "--pose2d", "mediapipe", "--lifter", "nope.safetensors", "--quiet")
    assert one_sentence(nope.err) == "There is no file nope.safetensors: check the name and the folder."
    assert left_in(tmp_path) == ["clips"]


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--height-m", "180"], 2, "A person's height must lie between 0.4 and 2.6 metres, not 180."),
        (["--person", "0"], 2, "--person is the number of somebody, 1 or more, not 0."),
        (
            ["--start", "nan"],
            2,
            "The part to read must start at 0 s or later and end after its start, not be nan s to the end.",
        ),
        (["--max-frames", "0"], 2, "At least one frame must be read, not 0."),
        (["--jobs", "0"], 2, "--jobs must lie between 1 and 1000, not 0."),
        (
            ["--pose2d", "hrnet", "--pose2d-weights", "own.pth"],
            2,
            "own.pth does not say which size of crops it was trained on: say it with --pose2d-size, height first, "
            "256x192 or 384x288 for most HRNets; the file's publisher tells.",
        ),
    ],
)
def test_what_no_clip_can_be_done_with_is_said_once_and_before_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.pth").write_bytes(b"weights")
    Path("clips").mkdir()
    write_video(Path("clips/a.mp4"), 2, size=(96, 64))
    result = command("clips", *options, "--quiet")
    assert (result.code, one_sentence(result.err)) == (code, says)
    assert left_in(tmp_path) == ["clips", "own.pth"]


def test_models_that_cannot_be_had_are_said_once_and_before_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SASMAMBA_WEIGHTS", str(tmp_path / "cache"))
    monkeypatch.setenv("SASMAMBA_OFFLINE", "1")
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips/a.mp4", 2, size=(96, 64))
    for backend, name in (("auto", "pose-landmarker-full"), ("hrnet", "hrnet-w32")):
        result = command(tmp_path / "clips", "--pose2d", backend, "--quiet")
        assert result.code == 1
        assert one_sentence(result.err).startswith(f"{name} is not here, and fetching is switched off.")
    assert left_in(tmp_path) == ["clips"]


def write_pan(path: Path, px_per_s: float, frames: int) -> None:
    """A film of a wall with a pattern by a camera that turns to the right, or does not."""
    wall = np.random.default_rng(0).integers(0, 255, (30, 90), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, width=320, height=240, pix_fmt="yuv420p")
        for f in range(frames):
            x = round(px_per_s * f / 30)
            picture = np.ascontiguousarray(wall[:, x : x + 320, None].repeat(3, 2))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))


def test_strict_over_a_folder(tmp_path: Path) -> None:
    """The exit code of everything that is there, a clip more each time; what was done before keeps its findings."""
    clips = tmp_path / "clips"
    clips.mkdir()
    args = (clips, "--pose2d", "mediapipe", "--height", "64", "--jobs", "1", "--camera", "still")
    write_pan(clips / "all is well.mp4", 0, 36)
    assert (command(*args, "--strict").code, command(*args).code) == (0, 0)

    write_pan(clips / "implausible.mp4", 40, 37)  # not as long as the other: twice the same film is done once
    first = command(*args, "--strict", "--json")
    assert first.code == 3, first.err
    told = {v["video"]: {f["kind"] for f in v.get("findings", [])} for v in json.loads(first.out)["videos"]}
    assert told == {"all is well.mp4": set(), "implausible.mp4": {"camera"}}
    assert {"all is well_3d.mp4", "implausible_3d.mp4"} <= set(left_in(tmp_path / "clips_3d"))
    assert (command(*args, "--strict").code, command(*args).code) == (3, 0)

    (clips / "no video.mp4").write_text("no video")
    assert (command(*args, "--strict").code, command(*args).code) == (1, 1)
