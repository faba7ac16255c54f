"""A lifter in one safetensors file: weights, the configuration that built it, the skeleton conversion it was fed.

Loading is strict: nothing is guessed, nothing is left at random values. The file's "model" is "sasmamba" or "posemamba"
and has to be what its configuration describes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch

from sasmamba.models import tensorfile
from sasmamba.models.blocks import BlockConfig
from sasmamba.models.posemamba import POSEMAMBA, is_posemamba
from sasmamba.models.sasmamba import SASMAMBA, SASMAMBA_L, SasMamba, SasMambaConfig
from sasmamba.models.scan import Backend
from sasmamba.models.skeletons import CONVERSION_ID
from sasmamba.models.tensorfile import CheckpointError, fill, write_model
from sasmamba.models.uncertainty_head import Calibration

_FORMAT = "sasmamba-lifter/1"
_MODELS = ("sasmamba", "posemamba")

#: The papers' models by name, for configurations that start from one.
VARIANTS = {"sasmamba": SASMAMBA, "sasmamba-l": SASMAMBA_L, **POSEMAMBA}


def config_from_dict(values: dict) -> SasMambaConfig:
    """The configuration a checkpoint or a training file describes.

    Args:
        values: what `SasMambaConfig` takes, "block" as what `BlockConfig` takes; "variant" names one of `VARIANTS` that
            the other values change.

    Raises:
        TypeError: unknown names.
        ValueError: unknown or impossible values.
    """
    values = dict(values)
    variant = values.pop("variant", None)
    if variant is not None and variant not in VARIANTS:
        raise ValueError(f"variant: want one of {', '.join(VARIANTS)}, got {variant!r}")
    block = dict(values.pop("block", {}))
    for name in ("directions", "dt_range"):
        if name in block:
            block[name] = tuple(block[name])
    if values.get("uncertainty") is not None:
        values["uncertainty"] = Calibration(**values["uncertainty"])
    if variant is None:
        return SasMambaConfig(block=BlockConfig(**block), **values)
    base = VARIANTS[variant]
    return replace(base, block=replace(base.block, **block), **values)


def model_of(config: SasMambaConfig) -> str:
    """What a checkpoint of this configuration calls itself: "posemamba" or "sasmamba"."""
    return "posemamba" if is_posemamba(config) else "sasmamba"


def save_lifter(model: SasMamba, path: Path, notes: dict[str, str] | None = None) -> None:
    """Writes the model whole or not at all; `notes` are free text for people (data, recipe, accuracy)."""
    metadata = {
        "format": _FORMAT,
        "model": model_of(model.config),
        "config": json.dumps(asdict(model.config)),
        "skeleton": CONVERSION_ID,
        "notes": json.dumps(notes or {}),
    }
    write_model(model, path, metadata)


def read_metadata(path: Path) -> dict[str, str]:
    """The file's metadata; raises CheckpointError when it is not one of ours."""
    metadata = tensorfile.read_metadata(path, _FORMAT, "lifter")
    if metadata.get("model") not in _MODELS:
        raise CheckpointError(f"{path} holds a {metadata.get('model')!r}, not one of {', '.join(_MODELS)}")
    if metadata.get("skeleton") != CONVERSION_ID:
        raise CheckpointError(
            f"{path} was trained on joints derived by {metadata.get('skeleton')}, this version derives {CONVERSION_ID}"
        )
    return metadata


def load_lifter(path: Path, device: torch.device | str = "cpu", backend: Backend = "auto") -> SasMamba:
    """The model of a checkpoint, in evaluation mode.

    Raises:
        CheckpointError: not a checkpoint, another skeleton, a name that its configuration contradicts, or tensors
            that do not fit the configuration.
    """
    metadata = read_metadata(path)
    try:
        described = json.loads(metadata.get("config", "null"))
        tensorfile.check_sizes(path, described)
        model = SasMamba(config_from_dict(described), backend)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:  # the last is torch's
        raise CheckpointError(f"{path} describes a model that this version cannot build ({error})") from error
    called, block = metadata["model"], model.config.block
    if called != model_of(model.config):
        raise CheckpointError(
            f"{path} calls itself {called!r}, but its configuration (local mixing {block.local!r}, scan input "
            f"{block.scan_input!r}) is that of a {model_of(model.config)!r}"
        )
    fill(model, path)
    return model.to(device).eval()
