"""The compiled CPU kernels: found or explained.

The extension is built at install where there is g++ or clang, on Windows clang-cl. It is called through ctypes, which
releases the GIL, so capture, inference and drawing can overlap.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from collections.abc import Sequence

import torch

_COMPILER = "clang-cl (LLVM)" if sys.platform == "win32" else "g++ or clang"
_REBUILD = f"install {_COMPILER} and reinstall sasmamba-demo from source"


@functools.cache
def load() -> tuple[ctypes.CDLL | None, str]:
    """The kernel library, or None, with one sentence on what was found and what to do about it."""
    spec = importlib.util.find_spec("sasmamba.models.kernels._kernels")
    if spec is None or spec.origin is None:
        return None, f"native CPU kernels were not built, lifting is several times slower; {_REBUILD}"
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError as error:
        return None, f"native CPU kernels do not load ({error}), lifting is several times slower; {_REBUILD}"
    if not library.sasmamba_processor_fits():
        return None, f"native CPU kernels were built for another processor; {_REBUILD} on this machine"
    library.sasmamba_compiled_for.restype = ctypes.c_char_p
    library.sasmamba_scan_kept.restype = ctypes.c_int64
    library.sasmamba_block_keep.restype = ctypes.c_void_p
    library.sasmamba_block_drop.argtypes = [ctypes.c_void_p]
    return library, f"native CPU kernels ({library.sasmamba_compiled_for().decode()})"


def sizes(*values: int) -> ctypes.Array:
    """int64 arguments as the kernels read them."""
    return (ctypes.c_int64 * len(values))(*values)


def pointers(tensors: Sequence[torch.Tensor]) -> ctypes.Array:
    """Addresses of float32 CPU tensors, which must outlive the call."""
    for t in tensors:
        if t.dtype != torch.float32 or t.device.type != "cpu":
            raise TypeError(f"native kernels: want float32 on the CPU, got {t.dtype} on {t.device}")
    return (ctypes.c_void_p * len(tensors))(*(t.data_ptr() for t in tensors))


def pointer(tensor: torch.Tensor) -> ctypes.c_void_p:
    """Address of one tensor, which must outlive the call."""
    return ctypes.c_void_p(tensor.data_ptr())
