"""ViTPose's vision transformer as a frozen backbone, from Hugging Face's transformers and a checkpoint on disk.

Source: Xu et al., "ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation" (NeurIPS 2022). A checkpoint
is a folder as transformers saves it (`config.json` and `model.safetensors`), or the safetensors file in such a folder.
Nothing is fetched.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from sasmamba.models.tensorfile import CheckpointError

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
#: What a configuration says about its outputs; here it is always the last block's.
_OUTPUTS = ("out_features", "out_indices", "stage_names", "_out_features", "_out_indices")


class ViTPoseBackbone(nn.Module):
    """Pictures to features, never trained: no parameter takes a gradient, and `train` leaves it in evaluation mode.

    Args:
        backbone: transformers' `VitPoseBackbone` with the last block as its only output.
        sha256: of its weights' file, empty where there is none.

    Attributes:
        channels: C.
        input_px: width and height of the pictures it reads.
        grid: rows and columns of its features.
        sha256: see above.
    """

    def __init__(self, backbone: Any, sha256: str = "") -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.channels: int = backbone.config.hidden_size
        height, width = backbone.config.image_size
        self.input_px = (width, height)
        patch_height, patch_width = backbone.config.patch_size
        self.grid = (height // patch_height, width // patch_width)
        self.sha256 = sha256
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor, frames: int = 1) -> Tensor:
        """Features of the last block, normalised.

        Args:
            images: (B · frames, 3, height, width) RGB, ImageNet's mean 0 and deviation 1; a sequence's side by side.

        Returns:
            (B, frames, C, height / 16, width / 16).

        Raises:
            ValueError: another shape.
        """
        width, height = self.input_px
        if images.dim() != 4 or images.shape[1:] != (3, height, width) or images.shape[0] % frames:
            raise ValueError(f"images: want (B · {frames}, 3, {height}, {width}), got {tuple(images.shape)}")
        tokens = self.backbone(images).feature_maps[-1]  # (B · frames, h · w, C)
        return tokens.transpose(1, 2).reshape(-1, frames, self.channels, *self.grid)


def load_transformers() -> Any:
    """The package.

    Raises:
        ImportError: it, or its VitPose, is not installed; says what to do.
    """
    try:
        import transformers
        from transformers import VitPoseBackbone  # noqa: F401 (the package finds its parts when they are asked for)
    except ImportError as error:
        raise ImportError(
            f"ViTPose needs transformers ({error}); install it with: pip install 'sasmamba-demo[vitpose]'"
        ) from error
    return transformers


def build_backbone(config: dict[str, Any]) -> ViTPoseBackbone:
    """A backbone with random weights, of a configuration as in `config.json`.

    Raises:
        ImportError: transformers is not installed; says what to do.
        ValueError: a configuration of another model or of a mixture of experts (ViTPose+).
    """
    transformers = load_transformers()
    if config.get("model_type") == "vitpose":
        config = config.get("backbone_config") or {}
    if config.get("model_type") != "vitpose_backbone":
        raise ValueError(f"want a vitpose or vitpose_backbone, got model type {config.get('model_type')!r}")
    if config.get("num_experts", 1) != 1:
        raise ValueError("a mixture of experts (ViTPose+) does not run here; take vitpose-base-simple, for one")
    blocks = config.get("num_hidden_layers", 12)
    values = {k: v for k, v in config.items() if k not in (*_OUTPUTS, "model_type", "transformers_version")}
    made = transformers.VitPoseBackboneConfig(**values, out_indices=[blocks])
    return ViTPoseBackbone(transformers.VitPoseBackbone(made))


def load_backbone(path: Path | str, device: torch.device | str = "cpu") -> ViTPoseBackbone:
    """The frozen backbone of a checkpoint, strictly: every tensor is there and fits. The decoder's are left out.

    Args:
        path: a folder with config.json and model.safetensors, or that file.

    Raises:
        CheckpointError: no such files, not readable, another network, or tensors that do not fit.
        ImportError: transformers is not installed; says what to do.
    """
    path = Path(path)
    folder, weights = (path, path / _WEIGHTS) if path.is_dir() else (path.parent, path)
    for file in (weights, folder / _CONFIG):
        if not file.is_file():
            raise CheckpointError(
                f"{path} is not a ViTPose checkpoint: there is no {file}; want a folder with {_CONFIG} and {_WEIGHTS}, "
                "as Hugging Face's transformers saves it"
            )
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        model = build_backbone(config)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder / _CONFIG} does not describe a ViTPose that runs here ({error})") from error
    try:
        with safe_open(weights, "pt") as f:
            names = list(f.keys())
            prefix = "backbone." if any(n.startswith("backbone.") for n in names) else ""
            tensors = {n.removeprefix(prefix): f.get_tensor(n) for n in names if n.startswith(prefix)}
        model.backbone.load_state_dict(tensors, strict=True)
        with weights.open("rb") as opened:
            model.sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{weights} is not a readable safetensors file ({error})") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{weights} does not fit {folder / _CONFIG} ({reason[:300]})") from error
    return model.to(device)
