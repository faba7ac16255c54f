"""A lifter for other languages and runtimes: `export_lifter` writes it as one ONNX file."""

from __future__ import annotations

from pathlib import Path

from sasmamba.app import weights
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path, check_writable


def export_lifter(lifter: str, out: Path, frames: int | None = None) -> Path:
    """Writes a lifter as ONNX, whole or not at all: 2D joints in pixels in, metres out (`models/onnx_export.py`).

    Args:
        lifter: a shipped lifter's name or a checkpoint's path.
        out: the file, .onnx.
        frames: the window's length, fixed in the file; None for the longest that the lifter takes. The batch is free.

    Returns:
        `out`.

    Raises:
        UserError: a name or number that cannot be, weights that cannot be used, the package onnx missing, or a disk
            that refuses; one sentence that says what to do.
    """
    out = Path(out)
    if out.suffix.lower() != ".onnx":
        raise UserError(f"The exported lifter must end in .onnx, not {out.name!r}.", exit_code=2)
    try:
        from sasmamba.models.onnx_export import onnx_model
    except ImportError as error:
        raise UserError(f"Exporting needs the package onnx ({error}): pip install 'onnx>=1.17'.") from error
    check_writable(out)
    model = Lifter.load(lifter).model
    frames = model.config.frames if frames is None else frames
    if not 1 <= frames <= model.config.frames:
        raise UserError(
            f"--frames must lie between 1 and {model.config.frames}, the longest window of {lifter}, not {frames}.",
            exit_code=2,
        )
    shipped = {entry.name: entry.licence for entry in weights.entries()}
    notes = {
        "source": lifter if lifter in shipped else Path(lifter).name,
        "licence": shipped.get(lifter, "that of the weights, which follows from what they were trained on"),
    }
    content = onnx_model(model, frames, notes).SerializeToString()
    with atomic_path(out) as temporary:
        temporary.write_bytes(content)
    return out
