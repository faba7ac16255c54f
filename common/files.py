"""Files that appear whole or not at all, and disk errors told to a person."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from sasmamba.common.errors import UserError

try:
    import fcntl
except ImportError:  # on Windows a file that somebody has open cannot be removed, which does as well
    fcntl = None  # type: ignore[assignment]

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
    errno.EMFILE: "too many files are open; allow more (ulimit -n 1024)",
    errno.ENFILE: "too many files are open; close some programs",
}
#: Names that `atomic_path` gives to files that are not finished, or a library, with one part more, to what it is to
#: become such a file; and those that `claimed` gives to its locks.
_UNFINISHED = re.compile(r"(\.[\w.-]{0,40}\.[0-9a-f]{8}\.part(?:\.\w+)?)(?:\.\w+)?|\.[0-9a-f]{16}\.lock", re.ASCII)


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


def disk_error(said: str) -> OSError:
    """The system's error that a library tells in words only; a fault of the disk where it names none."""
    number = next((number for number in _ADVICE if os.strerror(number) in said), errno.EIO)
    return OSError(number, os.strerror(number))


def same_file(a: Path, b: Path) -> bool:
    """Whether two names lead to one file; a name that leads nowhere, or cannot, leads to no other."""
    try:
        return a.samefile(b)
    except OSError:
        return False


def printable(name: str) -> str:
    """A file's name as text that fits on a line of any file: bytes that are no text, tabs and line ends escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_writable(path: Path | str) -> None:
    """Raises now what writing `path` would raise after all the work; makes missing folders, leaves no file.

    Files beside it that a killed process left unfinished are removed.

    Raises:
        UserError: as `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.touch()
        temporary.unlink()
    _sweep(Path(path).parent)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Gives a temporary name beside `path`, with the same suffix, and renames it to `path` on success.

    Folders that are missing are made. Nothing is left behind when the body fails, and nothing appears when it
    writes nothing. While the body runs the file is locked, so that nobody takes it for one that was left behind.

    Raises:
        UserError: `path` is a folder (exit code 2), or the disk refuses.
    """
    path = Path(path)
    # Not mkstemp: its files are private to the user, and the final file should have the usual permissions.
    # Of its stem only what every library can open under every locale.
    stem = re.sub(r"[^\w.-]", "_", path.stem[:40], flags=re.ASCII)
    temporary = path.with_name(f".{stem}.{secrets.token_hex(4)}.part{path.suffix}")
    with disk_errors_explained(path, temporary, *path.parents):
        if path.is_dir():
            raise UserError(f"{path} is a folder: give the name of a file in it.", 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(temporary):
            try:
                yield temporary
                if temporary.exists() and temporary.stat().st_size:
                    os.replace(temporary, path)
            except BaseException:
                for left in path.parent.glob(f"{glob.escape(temporary.name)}.*"):  # a library's own, on the way to it
                    left.unlink(missing_ok=True)
                raise
            finally:
                temporary.unlink(missing_ok=True)


@contextmanager
def _locked(temporary: Path) -> Iterator[None]:
    """Makes an empty file and holds a lock on it, which the system takes back however the process ends."""
    if fcntl is None:
        yield
        return
    with open(temporary, "xb") as file:
        with suppress(OSError):  # some network disks have no locks; then nothing there is ever removed
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _sweep(folder: Path) -> None:
    """Removes what processes that are gone left unfinished in a folder; what somebody is writing is locked."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            named = _UNFINISHED.fullmatch(entry.name)
            if named and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_unless_locked(entry.path, folder / (named[1] or entry.name))


def _remove_unless_locked(path: str, locked: Path) -> None:
    if fcntl is None:
        os.unlink(path)
        return
    with ExitStack() as held:
        with suppress(FileNotFoundError):  # who wrote it is gone
            file = held.enter_context(open(locked, "rb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)


@contextmanager
def claimed(path: Path | str) -> Iterator[None]:
    """Keeps other processes that ask for the same from writing `path`, and what belongs to it, meanwhile.

    Raises:
        UserError: another one is at it.
    """
    path = Path(path)
    lock = FileLock(path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.lock"))
    try:
        with disk_errors_explained(path, lock.lock_file, *path.parents), lock.acquire(timeout=0):
            try:
                yield
            finally:
                Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout as error:
        raise UserError(f"Another run is writing {path}: wait for it, or choose another --out.") from error


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
