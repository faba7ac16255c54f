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
from torch import nn

from sasmamba.models.glsmamba import GLSMamba, GLSMambaConfig, SingleFrameHead
from sasmamba.models.scan import Backend
from sasmamba.models.skeletons import POSETRACK
from sasmamba.models.tensorfile import CheckpointError, fill, read_metadata, write_model

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
    write_model(model, path, metadata)


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
    metadata = read_metadata(path, _FORMAT, "2D network")
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
    fill(model, path)
    return model.to(device).eval(), backbone
