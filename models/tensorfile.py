"""A model in one safetensors file: its tensors, and in the metadata what it takes to build it. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

#: Numbers up to this are sound without a tensor of that size: longer windows than were trained on are shared out.
_SMALL = 1024


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


def check_sizes(path: Path, described: Any) -> None:
    """Holds the numbers of a configuration against the file's tensors, before anything is built by them.

    A file of a few bytes can describe a model that no memory holds.

    Args:
        path: The file.
        described: Its configuration: numbers, and dicts and lists of them.

    Raises:
        ValueError: a number larger than any side of any tensor, and than all tensors are many.
    """
    with safe_open(path, "pt") as f:
        shapes = [f.get_slice(k).get_shape() for k in f.keys()]  # noqa: SIM118 (not a dict)
    most = max([_SMALL, len(shapes), *(side for shape in shapes for side in shape)])
    for number in _numbers(described):
        if not -most <= number <= most:
            raise ValueError(f"{number:g} is more than any of its tensors has")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _numbers(inner)
    elif isinstance(value, int | float):
        yield value


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
