"""Pickles of other people's data, read without letting them run code: numpy arrays in dicts and lists, nothing else."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.archives import member_bytes
from sasmamba.common.errors import UserError

#: Of an object in a NPZ file, unpacked; MPI-INF-3DHP's are the largest, with 2 GB.
_MOST_BYTES = 8 << 30
#: Everything that numpy's own pickles name, under its old and its new module paths.
_ALLOWED = {
    (module, name)
    for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
    for name in ("_reconstruct", "scalar", "_frombuffer")
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("collections", "OrderedDict"), ("_codecs", "encode")}


class _Array:
    """Stands for numpy's array in a pickle, where it may be named and not called: that would make one of any size."""


def _empty(kind: type, shape: tuple[int, ...], _: bytes) -> NDArray:
    """What numpy's `_reconstruct` does in pickles that numpy wrote; the type and the content come after."""
    if kind is not _Array or shape != (0,):
        raise pickle.UnpicklingError(f"it makes an array {shape} of nothing")
    return np.ndarray(shape, np.int8)


class _NumpyOnly(pickle.Unpickler):
    """Refuses every global but those that arrays are made of."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED and module != "numpy.dtypes":
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")
        if name in _STAND_INS:
            return _STAND_INS[name]
        return super().find_class(module, name)


_STAND_INS = {"ndarray": _Array, "_reconstruct": _empty}


def load_pickle(source: BinaryIO) -> Any:
    """An object of dicts, lists, strings, numbers and numpy arrays.

    Raises:
        pickle.UnpicklingError: anything else; nothing in it has run.
    """
    # latin1: arrays pickled by Python 2, as the older data sets are
    return _NumpyOnly(source, encoding="latin1").load()


def read_pickle(path: Path) -> Any:
    """`load_pickle` of a file; UserError says what is wrong with it."""
    try:
        with path.open("rb") as f:
            return load_pickle(f)
    except Exception as error:  # a damaged pickle can raise any
        raise UserError(f"{path} is not a pickle of plain arrays: {error}.") from error


def read_object_npz(path: Path, key: str) -> Any:
    """The Python object that a NPZ file carries as a 0-d object array under `key`, read as `load_pickle` does.

    Raises:
        UserError: no such file or entry, or an object that holds more than arrays.
    """
    try:
        raw = io.BytesIO(member_bytes(path, f"{key}.npy", most_bytes=_MOST_BYTES))
        version = np.lib.format.read_magic(raw)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(raw)
        if not dtype.hasobject or shape != ():
            raise ValueError(f"{key} is an array {shape} of {dtype}, not one object")
        content = load_pickle(raw)
    except KeyError as error:
        raise UserError(f"{path} has no entry {key!r}: it is not a file of this layout.") from error
    except Exception as error:  # as above, and zip's and numpy's
        raise UserError(f"{path} cannot be read: {error}.") from error
    return content.item() if isinstance(content, np.ndarray) else content
