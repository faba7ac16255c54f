"""A model in one safetensors file: its tensors, and in the metadata what it takes to build it. Nothing is guessed."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn


class CheckpointError(Exception):
    """A file that is not a checkpoint of this project, or of another skeleton or model; says which."""


def write_model(model: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Writes a model whole or not at all."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    partial = path.with_name(path.name + ".part")
    try:
        save_file(tensors, partial, metadata)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_metadata(path: Path, form: str, what: str) -> dict[str, str]:
    """A file's metadata.

    Args:
        form: what its "format" has to be.
        what: what such a file holds, for the error.

    Raises:
        CheckpointError: not a safetensors file, or of another format.
    """
    try:
        with safe_open(path, "pt") as f:
            metadata = f.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from error
    if metadata.get("format") != form:
        raise CheckpointError(f"{path} is not a {what} of this project (format {metadata.get('format')!r})")
    return metadata


def fill(model: nn.Module, path: Path) -> None:
    """Loads a file's tensors into the model built from its metadata, each one and no other.

    Raises:
        CheckpointError: they do not fit.
    """
    with safe_open(path, "pt") as f:
        tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a dict)
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: its tensors do not fit its own configuration ({reason[:300]})") from error
