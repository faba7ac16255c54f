"""Files that appear whole or not at all, and disk errors told to a person."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.errors import UserError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or write to another disk",
    errno.EDQUOT: "your disk quota is used up; free some space or write to another disk",
    errno.EFBIG: "the file grew larger than this disk or account allows; write to another disk",
    errno.EACCES: "you may not write there; choose another folder or change its permissions",
    errno.EPERM: "you may not write there; choose another folder or change its permissions",
    errno.EROFS: "that disk is read-only; choose another folder",
    errno.ENOENT: "no file can be made there; choose another folder",
    errno.EINVAL: "such a name is not possible there; choose another name or folder",
    errno.ENOTDIR: "part of that path is a file, not a folder; choose another folder",
    errno.EEXIST: "part of that path is a file, not a folder; choose another folder",
    errno.ENAMETOOLONG: "that name is too long; choose a shorter one",
    errno.EIO: "the disk reports a fault; write to another disk",
}


@contextmanager
def disk_errors_explained(path: Path | str, *others: Path | str) -> Iterator[None]:
    """Turns an OSError of writing `path` into a UserError that names it and says what to do.

    Errors that name a file other than `path` and `others` (the temporary name, say) pass through unchanged.
    """
    try:
        yield
    except OSError as error:
        ours = {str(path), str(Path(path).parent), *map(str, others)}
        foreign = error.filename is not None and str(error.filename) not in ours
        if foreign or error.errno not in _ADVICE:
            raise
        raise UserError(f"{path} could not be written: {_ADVICE[error.errno]}.") from error


def same_file(a: Path, b: Path) -> bool:
    """Whether two names lead to one file; a name that leads nowhere, or cannot, leads to no other."""
    try:
        return a.samefile(b)
    except OSError:
        return False


def check_writable(path: Path | str) -> None:
    """Raises now what writing `path` would raise after all the work; makes missing folders, leaves no file.

    Raises:
        UserError: as `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.touch()
        temporary.unlink()


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Gives a temporary name beside `path`, with the same suffix, and renames it to `path` on success.

    Folders that are missing are made. Nothing is left behind when the body fails, and nothing appears when it
    writes nothing.

    Raises:
        UserError: `path` is a folder (exit code 2), or the disk refuses.
    """
    path = Path(path)
    # Not mkstemp: its files are private to the user, and the final file should have the usual permissions.
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}")
    with disk_errors_explained(path, temporary, *path.parents):
        if path.is_dir():
            raise UserError(f"{path} is a folder: give the name of a file in it.", 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if temporary.exists():
                os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_npz(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Writes a compressed NPZ whole or not at all, byte for byte the same for the same arrays."""
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # the stub takes arrays for a flag


def checksum(path: Path) -> str:
    """SHA-256 of a file, read once per process unless the file changes."""
    stat = path.stat()
    return _checksum(path, stat.st_size, stat.st_mtime_ns)


@cache
def _checksum(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_of(path)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
