"""A GLSMamba in one safetensors file: weights, the configuration that built it, and which backbone it was trained on.

The backbone is frozen and not in the file; its place and its checksum are, so that another one is not taken for it.
Loading is strict: nothing is guessed, nothing is left at random values.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from sasmamba.models.checkpoint import CheckpointError
from sasmamba.models.glsmamba import GLSMamba, GLSMambaConfig, SingleFrameHead
from sasmamba.models.scan import Backend
from sasmamba.models.skeletons import POSETRACK

_FORMAT = "sasmamba-video-pose/1"
_KINDS: dict[str, type[nn.Module]] = {"glsmamba": GLSMamba, "single-frame": SingleFrameHead}
_JOINTS = ",".join(j.name.lower() for j in POSETRACK)


@dataclass(frozen=True, slots=True)
class BackboneRecord:
    """The backbone that a head was trained on: where it lay, and the SHA-256 of its weights, empty where not known."""

    path: str = ""
    sha256: str = ""


def save_glsmamba(
    model: GLSMamba | SingleFrameHead, path: Path, backbone: BackboneRecord, notes: dict[str, str] | None = None
) -> None:
    """Writes the model whole or not at all; `notes` are free text for people (data, recipe, accuracy)."""
    metadata = {
        "format": _FORMAT,
        "model": next(kind for kind, made in _KINDS.items() if isinstance(model, made)),
        "config": json.dumps(asdict(model.config)),
        "backbone": json.dumps(asdict(backbone)),
        "joints": _JOINTS if model.config.joints == len(POSETRACK) else "",
        "notes": json.dumps(notes or {}),
    }
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    partial = path.with_name(path.name + ".part")
    try:
        save_file(tensors, partial, metadata)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def config_from_dict(values: dict[str, Any]) -> GLSMambaConfig:
    """The configuration a checkpoint or a training file describes; unknown names raise TypeError."""
    known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return GLSMambaConfig(**known)


def load_glsmamba(
    path: Path, device: torch.device | str = "cpu", backend: Backend = "auto", kind: str = "glsmamba"
) -> tuple[Any, BackboneRecord]:
    """The model of a checkpoint in evaluation mode, and the backbone it wants.

    Args:
        kind: "glsmamba", or "single-frame" for the baseline.

    Raises:
        CheckpointError: not a checkpoint, another model, other joints, or tensors that do not fit the configuration.
    """
    try:
        with safe_open(path, "pt") as f:
            metadata = f.metadata() or {}
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is not a 2D network of this project (format {metadata.get('format')!r})")
    if metadata.get("model") != kind:
        raise CheckpointError(f"{path} holds a {metadata.get('model')!r}, not a {kind!r}")
    if metadata.get("joints") != _JOINTS:
        raise CheckpointError(f"{path} finds other joints than PoseTrack's {len(POSETRACK)}")
    try:
        config = config_from_dict(json.loads(metadata["config"]))
        backbone = BackboneRecord(**json.loads(metadata["backbone"]))
        model = GLSMamba(config, backend) if kind == "glsmamba" else SingleFrameHead(config)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} describes a model that this version cannot build ({error})") from error
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: its tensors do not fit its own configuration ({reason[:300]})") from error
    return model.to(device).eval(), backbone
