"""Archives that a stranger may have made: what they would unpack to is known, and bounded, before it is unpacked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

#: What the arrays of one file hold together at most, unless its reader says otherwise.
MOST_BYTES = 2 << 30


class ArchiveError(Exception):
    """An archive that is not read, and why, in a few words."""


def read_npz(path: Path, names: Iterable[str] | None = None, *, most_bytes: int = MOST_BYTES) -> dict[str, NDArray]:
    """Arrays of an NPZ file; plain ones, nothing that runs code when it is read.

    Every array's shape and type are read first and held against the archive's own record and the limit. A few kilobytes
    can claim to be a terabyte, and both numpy and zlib would begin to make it.

    Args:
        path: the file.
        names: which arrays, as far as they are there; None for all.
        most_bytes: of those arrays together.

    Returns:
        The arrays by name.

    Raises:
        ArchiveError: no such archive, damaged, too large, or arrays of Python objects.
        OSError: the file cannot be opened or read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = [name for name in (members if names is None else names) if name in members]
            total = 0
            for name in wanted:
                with archive.open(members[name]) as file:
                    total += _declared_bytes(file, members[name].file_size, name)  # type: ignore[arg-type]
                if total > most_bytes:
                    raise ArchiveError(f"its arrays claim {total / 1e9:,.1f} GB, more than {most_bytes / 1e9:.1f}")
            arrays = {}
            for name in wanted:
                with archive.open(members[name]) as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
            return arrays
    except (ArchiveError, OSError):
        raise
    except Exception as error:  # zip's, zlib's, memory's, and those of Python's parser, which reads numpy's headers
        raise ArchiveError(" ".join(str(error).split())[:200] or type(error).__name__) from error


def member_bytes(path: Path, name: str, *, most_bytes: int = MOST_BYTES) -> bytes:
    """One member of an archive.

    Raises:
        KeyError: there is none of that name.
        ArchiveError: it claims to be larger than `most_bytes`.
        OSError, zipfile.BadZipFile: the archive cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
        if info.file_size > most_bytes:
            raise ArchiveError(f"{name} claims {info.file_size / 1e9:,.1f} GB, more than {most_bytes / 1e9:.1f}")
        return archive.read(info)


def check_not_packed(path: Path) -> None:
    """Refuses an archive that unpacks to more than its file: PyTorch writes its own unpacked, and reads any.

    Files that are no archives pass.

    Raises:
        ArchiveError: it does.
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile:
        return
    if any(info.compress_type != zipfile.ZIP_STORED for info in members):
        raise ArchiveError("its members are compressed, as PyTorch does not write them")
    if sum(info.file_size for info in members) > path.stat().st_size:
        raise ArchiveError("its members claim to be larger than the file")


def _declared_bytes(file: BinaryIO, held: int, name: str) -> int:
    """Bytes of an array by the header of its .npy file, of which the archive holds so many bytes."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ArchiveError(f"{name} is of a version of numpy's format, {version}, that plain arrays do not have")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ArchiveError(f"{name} holds Python objects, which could run code; save plain arrays")
    size = math.prod(shape) * dtype.itemsize
    if any(n < 0 for n in shape) or size != held - file.tell():
        raise ArchiveError(f"{name} does not hold the array {shape} of {dtype} that it claims")
    return size
