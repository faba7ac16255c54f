"""A lifter in one safetensors file: weights, the configuration that built it, the skeleton conversion it was fed.

Loading is strict: nothing is guessed, nothing is left at random values.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sasmamba.models.blocks import BlockConfig
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig
from sasmamba.models.scan import Backend
from sasmamba.models.skeletons import CONVERSION_ID

_FORMAT, _MODEL = "sasmamba-lifter/1", "sasmamba"


class CheckpointError(Exception):
    """A file that is not a checkpoint of this project, or of another skeleton or model; says which."""


def config_from_dict(values: dict) -> SasMambaConfig:
    """The configuration a checkpoint or a training file describes; unknown names raise TypeError."""
    values = dict(values)
    block = dict(values.pop("block", {}))
    for name in ("directions", "dt_range"):
        if name in block:
            block[name] = tuple(block[name])
    return SasMambaConfig(block=BlockConfig(**block), **values)


def save_lifter(model: SasMamba, path: Path, notes: dict[str, str] | None = None) -> None:
    """Writes the model whole or not at all; `notes` are free text for people (data, recipe, accuracy)."""
    metadata = {
        "format": _FORMAT,
        "model": _MODEL,
        "config": json.dumps(asdict(model.config)),
        "skeleton": CONVERSION_ID,
        "notes": json.dumps(notes or {}),
    }
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    partial = path.with_name(path.name + ".part")
    try:
        save_file(tensors, partial, metadata)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_metadata(path: Path) -> dict[str, str]:
    """The file's metadata; raises CheckpointError when it is not one of ours."""
    try:
        with safe_open(path, "pt") as f:
            metadata = f.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is not a lifter of this project (format {metadata.get('format')!r})")
    if metadata.get("model") != _MODEL:
        raise CheckpointError(f"{path} holds a {metadata.get('model')!r}, not a {_MODEL!r}")
    if metadata.get("skeleton") != CONVERSION_ID:
        raise CheckpointError(
            f"{path} was trained on joints derived by {metadata.get('skeleton')}, this version derives {CONVERSION_ID}"
        )
    return metadata


def load_lifter(path: Path, device: torch.device | str = "cpu", backend: Backend = "auto") -> SasMamba:
    """The model of a checkpoint, in evaluation mode.

    Raises:
        CheckpointError: not a checkpoint, another skeleton, or tensors that do not fit the configuration.
    """
    metadata = read_metadata(path)
    try:
        model = SasMamba(config_from_dict(json.loads(metadata.get("config", "null"))), backend)
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} describes a model that this version cannot build ({error})") from error
    with safe_open(path, "pt") as f:
        tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a dict)
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its tensors do not fit its own configuration ({error})") from error
    return model.to(device).eval()
