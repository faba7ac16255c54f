"""What `sasmamba-demo train-2d` does: GLSMamba on PoseTrack's people, from a frozen ViTPose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sasmamba.common.errors import UserError
from sasmamba.common.files import disk_errors_explained
from sasmamba.models.glsmamba import GLSMamba
from sasmamba.models.glsmamba_checkpoint import BackboneRecord, config_from_dict, load_glsmamba, save_glsmamba
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.training.state import rust_errors_named
from sasmamba.training.video_clips import PoseTrackClips
from sasmamba.training.video_pose import VideoPoseConfig, VideoPoseTrainer


def open_backbone(path: Path, device: str = "cpu") -> Any:
    """The frozen ViTPose of a checkpoint; see `sasmamba.models.vitpose.load_backbone`.

    Raises:
        UserError: its package is not installed, or the files are missing or not a ViTPose.
    """
    from sasmamba.models.vitpose import load_backbone

    try:
        return load_backbone(path, device)
    except ImportError as error:
        raise UserError(f"{error}.") from error
    except CheckpointError as error:
        raise UserError(f"Training cannot use this backbone: {error}.") from error


def train_2d(
    config: VideoPoseConfig,
    backbone: Any,
    out: Path,
    record: BackboneRecord,
    device: str = "cpu",
    root: Path = Path(),
    say: Callable[[str], None] = print,
    *,
    init: Path | None = None,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> list[dict[str, float]]:
    """Trains, and returns the rows of metrics.csv.

    Writes into `out`: state.pt (what `resume` reads), last.safetensors, best.safetensors (highest mean AP from the
    people's own boxes; none where nothing validates), metrics.csv.

    Args:
        backbone: reads images (B · T, 3, H, W) and T, gives features (B, T, C, H / 16, W / 16); has `channels` and
            `input_px`. Nothing of it is trained.
        record: what the weights' files say about it.
        root: what data paths are relative to.
        init: weights of GLSMamba to start from.

    Raises:
        UserError: settings, data, weights, state or disk that cannot be used.
    """
    if not config.train:
        raise UserError("The configuration names no annotations to train on; set train to files or folders.", 2)
    if config.input_px != tuple(backbone.input_px):
        wanted, has = ("×".join(map(str, px)) for px in (config.input_px, backbone.input_px))
        raise UserError(f"The configuration's input_px is {wanted}, the backbone reads {has}; set input_px to that.", 2)
    torch.manual_seed(config.seed)
    head = _head(config, backbone.channels, init)
    frames = head.config.frames
    images = root / config.images
    clips = PoseTrackClips([root / p for p in config.train], images, config, frames)
    held = PoseTrackClips([root / p for p in config.validate], images, config, frames) if config.validate else None
    say(f"{len(clips)} clips of {frames} frames to train on, {len(held) if held else 0} to validate on")
    backbone.to(device).eval()

    def encode(images: Tensor) -> Tensor:
        return backbone(images.flatten(0, 1), images.shape[1])

    def save(path: Path, notes: dict[str, str]) -> None:
        with disk_errors_explained(path), rust_errors_named():
            save_glsmamba(head, path, record, notes)

    run = VideoPoseTrainer(
        head, encode, clips, held.measure if held else None, config, out, save, resume=resume, device=device
    )
    return run.run(say, stop)


def _head(config: VideoPoseConfig, channels: int, init: Path | None) -> GLSMamba:
    try:
        if init is None:
            head = GLSMamba(config_from_dict({"backbone_channels": channels, **config.model}))
        else:
            head, _ = load_glsmamba(init)
        width, height = config.input_px
        grid = height // 16, width // 16
        if head.config.upsampling != 4 or not head.config.takes(*grid):
            heat = [side * head.config.upsampling for side in grid]
            raise ValueError(
                f"heatmaps of {heat[0]} × {heat[1]} must be a quarter of the crop and divide into windows of "
                f"{head.config.window}"
            )
    except CheckpointError as error:
        raise UserError(f"Training cannot start from these weights: {error}.") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"The configuration's model cannot be built: {error}.", exit_code=2) from error
    if head.config.backbone_channels != channels:
        raise UserError(
            f"The model reads features of {head.config.backbone_channels} channels, the backbone has {channels}; "
            "give the backbone it was made for."
        )
    return head
