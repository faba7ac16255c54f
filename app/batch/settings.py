"""What clips are done with: how many at once, the files that settings name, the same on every node, and a hash of all
that matters."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from sasmamba.app.batch.journal import fingerprint
from sasmamba.app.config import Settings
from sasmamba.app.pose2d import offline_choice
from sasmamba.app.pose2d.choices import file_and_folder
from sasmamba.common.errors import UserError

#: Cores that one clip keeps busy, by what finds joints: MoveNet looks at several crops at once, the others do one thing
#: after another (benchmarks/batch_speed.py measures what more clips at once bring).
_CORES_A_CLIP = {"movenet": 2, "movenet-lightning": 2}
#: Memory that a clip may take, MB: the demo clip takes half of it, a film in 4K all.
_MB_A_CLIP = 1500


def local_jobs(settings: Settings, clips: int, cores: int, free_mb: float | None) -> tuple[int, str]:
    """How many clips to do at the same time on this machine, and why, in a sentence.

    Args:
        clips: how many wait.
        cores: that may be used.
        free_mb: memory that can be had; None where that is not known.
    """
    pose2d = offline_choice() if settings.pose2d == "auto" else settings.pose2d
    each = _CORES_A_CLIP.get(pose2d, 1)
    limits = [(max(1, cores // each), f"{cores} cores, of which a video with {pose2d} keeps {each} busy")]
    if free_mb is not None:
        limits.append((max(1, int(free_mb // _MB_A_CLIP)), f"{free_mb / 1000:.1f} GB of memory are free"))
    if settings.device == "cuda":
        limits.append((1, "one GPU is shared by no more"))
    jobs, why = min(limits, key=lambda limit: limit[0])
    jobs = min(jobs, max(1, clips))
    return jobs, f"{jobs} video{'s' * (jobs > 1)} at a time: {why}; --jobs says otherwise."


def files_named(settings: Settings) -> tuple[Path, ...]:
    """The files and folders of weights that settings name; what is named by a name of ours is not among them."""
    lifter = (Path(settings.lifter),) if settings.lifter.endswith(".safetensors") else ()
    return lifter + _pose2d_files(settings)


def _pose2d_files(settings: Settings) -> tuple[Path, ...]:
    """The file of --pose2d-weights, as its backend reads that, and GLSMamba's folder where it is told, too."""
    named = settings.pose2d_weights
    if named is None:
        return ()
    if settings.pose2d == "glsmamba":
        file, folder = file_and_folder(named)
        return (file,) if folder is None else (file, folder)
    if settings.pose2d == "mediapipe" or Path(named).suffix:
        return (Path(named),)
    return ()


def same_everywhere(settings: Settings) -> Settings:
    """Settings that mean the same on every node: paths from the root, and one 2D stage for all."""
    lifter, pose2d = settings.lifter, settings.pose2d
    if lifter.endswith(".safetensors"):
        lifter = str(Path(lifter).absolute())
    files = ",".join(str(path.absolute()) for path in _pose2d_files(settings))
    if pose2d == "auto":
        pose2d = offline_choice()
    return replace(settings, lifter=lifter, pose2d_weights=files or settings.pose2d_weights, pose2d=pose2d)


def digest(settings: Settings, save_poses: bool) -> str:
    """SHA-256 of what results depend on beside the clip: every setting, the version, and the content of weights.

    Raises:
        UserError: weights that are not there or cannot be read.
    """
    from sasmamba.app.weights.lifters import lifter_path

    values = {name: str(value) for name, value in asdict(settings).items() if name != "threads"}
    values |= {
        "poses": str(save_poses),
        "version": version("sasmamba-demo"),
        "weights": _content(lifter_path(settings.lifter)),
    }
    if files := _pose2d_files(settings):
        if not files[0].is_file():
            raise UserError(f"--pose2d-weights: there is no file {files[0]}.")
        values["pose2d_content"] = _content(files[0])
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _content(path: Path) -> str:
    try:
        return str(fingerprint(path)["sha256"])
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
