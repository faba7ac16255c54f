"""HRNet: Deep High-Resolution Representation Learning for Human Pose Estimation.

Source: Sun, Xiao, Liu and Wang, CVPR 2019 (Section 3, Figure 1). W32 and W48, for any input size; the published
checkpoints are trained for 256×192 and 384×288. The names of modules are those of the original authors' checkpoints
(`pose_hrnet_w32_256x192.pth` and its kin, MIT), so those load as they are; MMPose's (Apache-2.0) differ by prefixes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from torch import Tensor, nn

from sasmamba.common.archives import ArchiveError, check_not_packed
from sasmamba.models.skeletons import COCO
from sasmamba.models.tensorfile import CheckpointError

#: Heatmaps have a quarter of the input's side; the coarsest of the four resolutions an eighth of that.
STRIDE, COARSEST = 4, 32


@dataclass(frozen=True, slots=True)
class HRNetConfig:
    """`width`: channels at the highest resolution, doubled with every halving. `joints`: one heatmap each."""

    width: int = 32
    joints: int = len(COCO)


#: The paper's two models; 28.5 and 63.6 M parameters.
HRNET_W32, HRNET_W48 = HRNetConfig(32), HRNetConfig(48)


class HRNet(nn.Module):
    """Pictures of one person each to one heatmap per joint."""

    def __init__(self, config: HRNetConfig = HRNET_W32) -> None:
        super().__init__()
        self.config = config
        w = [config.width * 2**i for i in range(4)]
        self.conv1, self.bn1 = _conv(3, 64, 3, 2), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = _conv(64, 64, 3, 2), nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(_Bottleneck(64), *(_Bottleneck(256) for _ in range(3)))
        self.transition1 = _transition([256], w[:2])
        self.stage2 = nn.Sequential(_Exchange(w[:2]))
        self.transition2 = _transition(w[:2], w[:3])
        self.stage3 = nn.Sequential(*(_Exchange(w[:3]) for _ in range(4)))
        self.transition3 = _transition(w[:3], w)
        self.stage4 = nn.Sequential(_Exchange(w), _Exchange(w), _Exchange(w, rows=1))
        self.final_layer = nn.Conv2d(w[0], config.joints, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Heatmaps, about 1 at a joint and 0 elsewhere, not limited to that range.

        Args:
            images: (n, 3, height, width) RGB with ImageNet's mean 0 and deviation 1; sides are multiples of 32.

        Returns:
            (n, joints, height / 4, width / 4).

        Raises:
            ValueError: another shape.
        """
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % COARSEST or images.shape[3] % COARSEST:
            raise ValueError(f"images: want (n, 3, 32 · i, 32 · j), got {tuple(images.shape)}")
        x = self.relu(self.bn1(self.conv1(images)))  # (n, 64, height / 2, width / 2)
        x = self.layer1(self.relu(self.bn2(self.conv2(x))))  # (n, 256, height / 4, width / 4)
        branches = [x]  # finest first
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            coarsest = len(branches) - 1
            branches = stage([t(branches[min(i, coarsest)]) for i, t in enumerate(transition)])
        return self.final_layer(branches[0])


class _Bottleneck(nn.Module):
    """A residual block of the stem: 64 channels inside, 256 out."""

    def __init__(self, into: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(into, 64, 1), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = _conv(64, 64, 3), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = _conv(64, 256, 1), nn.BatchNorm2d(256)
        self.relu = nn.ReLU()
        self.downsample = nn.Identity() if into == 256 else nn.Sequential(_conv(into, 256, 1), nn.BatchNorm2d(256))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class _Basic(nn.Module):
    """A residual block of a branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


class _Exchange(nn.Module):
    """Four residual blocks per branch, then every branch becomes the sum of all (the paper's exchange unit).

    Args:
        widths: channels of the branches, finest first.
        rows: how many branches go on, finest first; None for all.
    """

    def __init__(self, widths: list[int], rows: int | None = None) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(_Basic(w) for _ in range(4))) for w in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_resample(widths, source, target) for source in range(len(widths)))
            for target in range(rows or len(widths))
        )
        self.relu = nn.ReLU()

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        branches = [run(x) for run, x in zip(self.branches, branches, strict=True)]
        return [self.relu(_sum(cast(nn.ModuleList, row), branches)) for row in self.fuse_layers]


def _sum(row: Iterable[nn.Module], branches: list[Tensor]) -> Tensor:
    first, *others = (resample(x) for resample, x in zip(row, branches, strict=True))
    return sum(others, first)


def _resample(widths: list[int], source: int, target: int) -> nn.Module:
    """From one branch's resolution and width to another's."""
    if source == target:
        return nn.Identity()
    if source > target:
        enlarge = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(_conv(widths[source], widths[target], 1), nn.BatchNorm2d(widths[target]), enlarge)
    halvings: list[nn.Module] = [_halve(widths[source], widths[source]) for _ in range(target - source - 1)]
    last = nn.Sequential(_conv(widths[source], widths[target], 3, 2), nn.BatchNorm2d(widths[target]))
    return nn.Sequential(*halvings, last)


def _transition(before: list[int], after: list[int]) -> nn.ModuleList:
    """One more branch, made from the coarsest; a branch whose width stays passes unchanged."""

    def same_size(old: int, new: int) -> nn.Module:
        return nn.Identity() if old == new else nn.Sequential(_conv(old, new, 3), nn.BatchNorm2d(new), nn.ReLU())

    kept = [same_size(old, new) for old, new in zip(before, after, strict=False)]
    return nn.ModuleList([*kept, nn.Sequential(_halve(before[-1], after[-1]))])


def _halve(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(_conv(into, out, 3, 2), nn.BatchNorm2d(out), nn.ReLU())


def _conv(into: int, out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False)


def load_hrnet(path: Path, device: torch.device | str = "cpu") -> HRNet:
    """The network of a published checkpoint, in evaluation mode; tells W32 from W48 by its tensors.

    Reads the original authors' files and MMPose's, 0.x and 1.x, with torch's `weights_only` reader: no code of the file
    is run.

    Raises:
        CheckpointError: not a checkpoint, of another network, or for other joints than COCO's; names which.
    """
    tensors = {_original_name(k): v for k, v in read_tensors(path).items()}
    kind = _kind(tensors)
    if kind is not None:
        raise CheckpointError(f"{path} is a checkpoint of {kind}, not of a pose HRNet")
    width, joints = tensors[_WIDTH_AT].shape[0], tensors[_JOINTS_AT].shape[0]
    if width not in (HRNET_W32.width, HRNET_W48.width):
        raise CheckpointError(f"{path} is a checkpoint of HRNet-W{width}; W32 and W48 are what runs here")
    if joints != len(COCO):
        raise CheckpointError(f"{path} is an HRNet-W{width} for {joints} joints, not for COCO's {len(COCO)}")
    with torch.device("meta"):
        model = HRNet(HRNetConfig(width))
    try:
        model.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path} looks like an HRNet-W{width}, but its tensors do not fit: {error}") from error
    return model.to(device, torch.float32).requires_grad_(False).eval()


_WIDTH_AT, _JOINTS_AT = "stage2.0.branches.0.0.conv1.weight", "final_layer.weight"

#: What in a tensor's name gives another network away; the first that is found names it.
_TELLTALES = {
    "bbox_head.": "an object detector",
    "incre_modules.": "an HRNet that classifies pictures",
    "deconv_layers.": "a pose network with deconvolutions (SimpleBaseline or HigherHRNet)",
    "layer4.": "a ResNet",
    ".attn.": "a vision transformer",
}


def _kind(tensors: dict[str, Tensor]) -> str | None:
    """What other network these are, None for a pose HRNet."""
    for telltale, kind in _TELLTALES.items():
        if any(telltale in name for name in tensors):
            return kind
    if _WIDTH_AT in tensors and _JOINTS_AT in tensors:
        return None
    return f"a network with tensors such as {next(iter(tensors), 'none')!r}"


def _original_name(name: str) -> str:
    """A tensor's name in the authors' files; MMPose splits the network into a backbone and a head."""
    for head in ("keypoint_head.", "head."):  # MMPose 0.x and 1.x
        if name.startswith(f"{head}final_layer."):
            return name.removeprefix(head)
    return name.removeprefix("backbone.")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint by name, whatever they are wrapped in; nothing in the file is run.

    Raises:
        CheckpointError: it cannot be read, or not safely.
    """
    try:
        check_not_packed(path)
        content = _read_inert(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror or error})") from error
    except ArchiveError as error:
        raise CheckpointError(f"{path} is not a PyTorch checkpoint that can be read safely: {error}") from error
    except (UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise CheckpointError(f"{path} is not a PyTorch checkpoint that can be read safely") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not the tensors of a network")
    return content


class _Inert:
    """Stands for an object that is not wanted; takes whatever it is given and does nothing with it."""

    def __new__(cls, *_: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def _read_inert(path: Path) -> Any:
    """`torch.load(weights_only=True)`, where objects of classes that torch does not know are left out.

    MMPose 1.x puts training histories (mmengine's HistoryBuffer, NumPy arrays) beside the tensors, which the reader
    refuses. Their names are read without unpickling anything, and each is bound to a class that does nothing.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        with torch.serialization.safe_globals([(_Inert, name) for name in names]):
            return torch.load(path, map_location="cpu", weights_only=True)
