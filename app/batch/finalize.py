"""From the folder that a try made its files in to where they belong."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path, disk_errors_explained


def finalize(made: Iterable[Path], folder: Path) -> list[Path]:
    """Moves files into a folder, whole or not at all; returns where they are now.

    Raises:
        UserError: a file is not there or cannot be moved; its cause is the system's error, if there was one.
    """
    moved = []
    for file in made:
        path = folder / file.name
        if path.is_dir():
            raise UserError(f"{path} is a folder, where a file must go: move it away, or choose another --out.")
        try:
            with disk_errors_explained(path, file):
                folder.mkdir(parents=True, exist_ok=True)
                with file.open("rb+") as whole:
                    os.fsync(whole.fileno())  # the journal is about to vouch for it, power cut or not
                _move(file, path)
        except OSError as error:
            raise UserError(f"{path} could not be written ({error.strerror or error}).") from error
        moved.append(path)
    return moved


def finished_files(place: Path) -> list[Path]:
    """The files of a try that are whole; none where its folder is gone."""
    try:
        return sorted(file for file in place.iterdir() if not file.name.startswith("."))
    except FileNotFoundError:
        return []


def _move(file: Path, path: Path) -> None:
    try:
        os.replace(file, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # a folder of renders may be a link or a mount that leads to another disk
        with atomic_path(path) as temporary:
            shutil.copyfile(file, temporary)
            with temporary.open("rb+") as whole:
                os.fsync(whole.fileno())
        file.unlink()
