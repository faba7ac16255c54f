"""Whole files to damage: six containers and five codecs with sound, keypoints, weights, a manifest, takes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from helpers_cli import walker
from helpers_video import MATRICES, add_tone, set_display_matrix

#: Container, codec of the picture, its pixel format, codec of the sound, its rate.
VIDEOS = [
    ("mp4", "libx264", "yuv420p", "aac", 44100),
    ("mov", "mjpeg", "yuvj420p", "pcm_s16le", 44100),
    ("mkv", "libx264", "yuv420p", "libmp3lame", 44100),
    ("webm", "libvpx", "yuv420p", "libopus", 48000),
    ("avi", "mpeg4", "yuv420p", "pcm_s16le", 44100),
    ("ts", "mpeg2video", "yuv420p", "aac", 44100),
    ("mp4", "mpeg4", "yuv420p", "aac", 44100),
    ("mkv", "libvpx", "yuv420p", "flac", 44100),
    ("mov", "libx264", "yuv420p", "alac", 44100),
    ("ts", "libx264", "yuv420p", "libmp3lame", 44100),
]
FRAMES = 12


def video_seeds(folder: Path) -> list[Path]:
    """Writes the videos and gives them; the mov files are turned, too."""
    made = []
    for number, (suffix, codec, pix_fmt, sound, rate) in enumerate(VIDEOS):
        path = folder / f"seed{number}.{suffix}"
        noise = np.random.default_rng(number)
        with av.open(str(path), "w") as out:
            stream: Any = out.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
            stream.codec_context.gop_size = 5
            audio: Any = out.add_stream(sound, rate=rate, layout="mono")
            for i in range(FRAMES):
                rgb = noise.integers(0, 255, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
                picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                picture.pts, picture.time_base = i, Fraction(1, 25)
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
            add_tone(out, audio, FRAMES / 25, rate)
        if suffix == "mov":
            set_display_matrix(path, MATRICES["quarter turn right"], 64, 48)
        made.append(path)
    return made


def keypoint_seeds(folder: Path) -> list[Path]:
    """Writes files of 2D poses and gives them."""
    good = {"fps": np.array(25.0), "width": np.array(320), "height": np.array(240), "skeleton": np.array("coco17")}
    np.savez(folder / "one.npz", keypoints=walker(20), **good)
    np.savez_compressed(folder / "two.npz", keypoints=np.stack([walker(8)] * 2), fov_deg=np.array(50.0), **good)
    return [folder / "one.npz", folder / "two.npz"]


def weight_seeds(folder: Path) -> list[Path]:
    """Writes a small lifter and a manifest and gives them."""
    from sasmamba.models.blocks import BlockConfig
    from sasmamba.models.checkpoint import save_lifter
    from sasmamba.models.sasmamba import SasMamba, SasMambaConfig

    save_lifter(SasMamba(SasMambaConfig(block=BlockConfig(width=8, states=4), blocks=2)), folder / "small.safetensors")
    manifest = Path(__file__).parents[2] / "weights/manifest.toml"
    (folder / "manifest.toml").write_bytes(manifest.read_bytes())
    return [folder / "small.safetensors", folder / "manifest.toml"]


def take_seeds(folder: Path) -> list[Path]:
    """Writes saved poses and a file of corrections, one of each kind, and gives them."""
    from helpers_fix import saved, walkers, whose

    from sasmamba.app.fix import corrections as kinds
    from sasmamba.app.fix.fixes_file import Fixes, write_fixes

    take = walkers(12, every=2)
    one, two = whose(take, 1, 4), whose(take, 2, 4)
    fixes = (
        kinds.MoveJoint(one, "left_wrist", (90.0, 60.0), 0.1),
        kinds.HideJoint(one, "nose", 0.0, 0.2),
        kinds.ExchangeSides(two, 0.1, 0.3),
        kinds.ExchangePeople(one, two, 0.1, 0.3),
        kinds.DeletePerson(two, 0.3, 0.4),
        kinds.FootOnFloor(one, "left"),
        kinds.CameraUpright(0.2, 5.0, 1.0),
    )
    write_fixes(Fixes("a.mp4", 320, 240, fixes), folder / "a.fixes.json")
    return [saved(take, folder / "poses.npz"), folder / "a.fixes.json"]
