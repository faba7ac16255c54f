"""The state of an unfinished run in one file: a run that is killed goes on from it as if nothing had happened."""

from __future__ import annotations

import errno
import io
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from sasmamba.common.archives import ArchiveError, check_not_packed
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path, disk_errors_explained
from sasmamba.models.checkpoint import save_lifter
from sasmamba.models.sasmamba import SasMamba

_FORMAT = "sasmamba-run/1"


@dataclass
class RunState:
    """How far a run has come; chance depends on seed and step alone, so these two are its random state.

    Attributes:
        share: of the budget, 0..1.
        seconds: of training and validation.
        step: steps taken.
        frames: frames seen.
        running: smoothed training error, mm.
        best: lowest validation error, mm.
    """

    seed: int = 0
    share: float = 0.0
    seconds: float = 0.0
    step: int = 0
    frames: int = 0
    running: float = float("nan")
    best: float = float("inf")


def save_state(path: Path, progress: RunState, parts: dict[str, dict[str, Any]]) -> None:
    """Writes progress and the state dicts in `parts`, whole or not at all."""
    # Into memory first: torch's own writer reports a full disk as an unreadable RuntimeError.
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, "progress": asdict(progress), **parts}, buffer)
    with atomic_path(path) as partial, disk_errors_explained(path, partial):
        partial.write_bytes(buffer.getvalue())  # a view (getbuffer) left behind by an error crashes Python 3.12.1


def load_state(path: Path) -> tuple[RunState, dict[str, dict[str, Any]]]:
    """What `save_state` wrote.

    Raises:
        UserError: no such file, or not a run's state.
    """
    try:
        check_not_packed(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content.pop("format") != _FORMAT:
            raise ValueError("another format")
        return RunState(**content.pop("progress")), content
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} holds no run to resume; leave out --resume to start one.") from error
    except (
        ArchiveError,
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        raise UserError(
            f"{path} is not the state of a run; start anew from weights with --init {path.parent}/last.safetensors."
        ) from error


def save_weights(model: SasMamba, path: Path, notes: dict[str, str]) -> None:
    """`save_lifter`, with a disk that refuses told to a person."""
    with disk_errors_explained(path), rust_errors_named():
        save_lifter(model, path, notes)


@contextmanager
def rust_errors_named() -> Iterator[None]:
    """safetensors wraps what the operating system says; takes it out again."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, str(error)) from error
