"""What clips are done with: the files that settings name, the same on every node, and a hash of all that matters."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from sasmamba.app import weights
from sasmamba.app.batch.journal import fingerprint
from sasmamba.app.config import RunConfig
from sasmamba.app.pose2d.choices import DEFAULT_HRNET, file_and_folder
from sasmamba.common.errors import UserError

#: Settings that say where, not how.
_PLACES = ("source", "out", "poses")


def files_named(config: RunConfig) -> tuple[Path, ...]:
    """The files and folders of weights that settings name; what is named by a name of ours is not among them."""
    lifter = (Path(config.lifter),) if config.lifter.endswith(".safetensors") else ()
    return lifter + _pose2d_files(config)


def _pose2d_files(config: RunConfig) -> tuple[Path, ...]:
    """The file of --pose2d-weights, as its backend reads that, and GLSMamba's folder where it is told, too."""
    named = config.pose2d_weights
    if named is None:
        return ()
    if config.pose2d == "glsmamba":
        file, folder = file_and_folder(named)
        return (file,) if folder is None else (file, folder)
    if config.pose2d == "mediapipe" or Path(named).suffix:
        return (Path(named),)
    return ()


def same_everywhere(template: RunConfig) -> RunConfig:
    """Settings that mean the same on every node: paths from the root, and one 2D stage for all."""
    lifter, pose2d = template.lifter, template.pose2d
    if lifter.endswith(".safetensors"):
        lifter = str(Path(lifter).absolute())
    files = ",".join(str(path.absolute()) for path in _pose2d_files(template))
    if pose2d == "auto":
        pose2d = "mediapipe" if weights.obtain(DEFAULT_HRNET) is None else "hrnet"
    return replace(template, lifter=lifter, pose2d_weights=files or template.pose2d_weights, pose2d=pose2d)


def digest(template: RunConfig, save_poses: bool) -> str:
    """SHA-256 of what results depend on beside the clip: every setting, the version, and the content of weights.

    Raises:
        UserError: weights that are not there or cannot be read.
    """
    from sasmamba.app.weights.lifters import lifter_path

    settings = {k: str(v) for k, v in asdict(template).items() if k not in _PLACES}
    settings |= {
        "poses": str(save_poses),
        "version": version("sasmamba-demo"),
        "weights": _content(lifter_path(template.lifter)),
    }
    if files := _pose2d_files(template):
        if not files[0].is_file():
            raise UserError(f"--pose2d-weights: there is no file {files[0]}.")
        settings["pose2d_content"] = _content(files[0])
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _content(path: Path) -> str:
    try:
        return str(fingerprint(path)["sha256"])
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
