"""GLSMamba as a joint estimator: joints are read off five frames, those around the one that is asked about.

Source: Feng et al. (see `models/glsmamba.py`), Section 3: a person's box in the middle frame, enlarged by a quarter,
cuts the same part out of all frames. Where a person has left it, in a frame before or after, the network sees that; it
is not told, the user is.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import torch
from torch import Tensor, nn

from sasmamba.app.pose2d.choices import file_and_folder
from sasmamba.app.pose2d.estimator import Joints, in_batches
from sasmamba.app.pose2d.person_crops import Crops
from sasmamba.app.types import Frame
from sasmamba.common.arrays import FloatArray, Picture
from sasmamba.common.closing import Closing
from sasmamba.common.errors import UserError
from sasmamba.models import heatmap_codec, vitpose
from sasmamba.models.glsmamba import GLSMamba
from sasmamba.models.glsmamba_checkpoint import load_glsmamba
from sasmamba.models.skeletons import POSETRACK, posetrack15_to_coco17
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.models.vitpose import ViTPoseBackbone, load_backbone

#: People whose sequences go through the networks together; one takes half a gigabyte.
TOGETHER = 2


class GLSMambaEstimator(Closing):
    """Reads joints off GLSMamba's heatmaps; see `estimator.JointEstimator` and `foresight.Foresight`.

    Joints are PoseTrack's put in COCO's places, see `skeletons.posetrack15_to_coco17`: ears are stand-ins, eyes are
    missing.

    Frames that are not known stand as the nearest one that is: at both ends of a shot, as the field does it, and the
    future where nobody calls `foresee`.

    Args:
        network: from `load_glsmamba`, for PoseTrack's joints; it is moved to `device`.
        backbone: what it was trained on, from `load_backbone`; anything with `channels`, `input_px` and the same call
            will do. It is moved to `device`, too.
        decode: see `heatmap_codec.decode`.
        device: where both run.

    Raises:
        ValueError: a backbone or a network that do not fit.
    """

    name = "glsmamba"

    def __init__(
        self,
        network: GLSMamba,
        backbone: nn.Module,
        *,
        decode: heatmap_codec.Decode = "dark",
        device: torch.device | str = "cpu",
    ) -> None:
        config = network.config
        if config.backbone_channels != backbone.channels:
            raise ValueError(f"backbone: want {config.backbone_channels} channels, got {backbone.channels}")
        if config.joints != len(POSETRACK):
            raise ValueError(f"network: want PoseTrack's {len(POSETRACK)} joints, got {config.joints}")
        self._input_px: tuple[int, int] = backbone.input_px  # type: ignore[assignment]
        # Channels last is what convolutions on a CPU and on tensor cores are fastest with.
        network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._networks: tuple[nn.Module, nn.Module] | None = backbone.to(device).eval(), network
        self._decode: heatmap_codec.Decode = decode
        self._device = device
        self.ahead = config.frames // 2
        self._frames = config.frames
        self._known: deque[Frame] = deque(maxlen=config.frames)  # the newest, oldest first

    def foresee(self, frame: Frame) -> None:
        """Tells of a frame that `__call__` may be asked about later; one that is not later begins a new video."""
        newest = self._known[-1] if self._known else None
        if newest is not None and (frame.index <= newest.index or frame.bgr.shape != newest.bgr.shape):
            self._known.clear()
        self._known.append(frame)

    def __call__(self, frame: Frame, boxes_px: FloatArray) -> Joints:
        """See `estimator.JointEstimator`."""
        if self._networks is None:
            raise ValueError("the estimator is closed")
        pictures = self.around(frame)
        return in_batches(lambda some: self._estimate(pictures, some), boxes_px, TOGETHER)

    def around(self, frame: Frame) -> list[Picture]:
        """The sequence of pictures, that of `frame` in the middle, which the network sees when it is asked about it."""
        if not any(known is frame for known in self._known):
            self.foresee(frame)
        wanted = range(frame.index - self.ahead, frame.index + self.ahead + 1)
        cuts = [f.index for f in self._known if f.cut is not None]
        begin = max((c for c in cuts if c <= frame.index), default=0)
        end = min((c for c in cuts if c > frame.index), default=frame.index + self._frames)
        shot = [f for f in self._known if begin <= f.index < end]
        return [min(shot, key=lambda f: (abs(f.index - i), -f.index)).bgr for i in wanted]

    def heatmaps(self, pictures: list[Picture], crops: Crops) -> Tensor:
        """(n, 15, h, w) of everybody's sequence of crops out of the pictures, the middle one's."""
        if self._networks is None:
            raise ValueError("the estimator is closed")
        backbone, network = self._networks
        images = torch.stack([heatmap_codec.normalised(crops.cut(p), self._device) for p in pictures], 1)
        return network(backbone(images.flatten(0, 1), self._frames))

    def close(self) -> None:
        """Frees the networks; a second call does nothing."""
        self._networks = None
        self._known.clear()

    def _estimate(self, pictures: list[Picture], boxes_px: FloatArray) -> Joints:
        crops = Crops.around(boxes_px, self._input_px)
        with torch.inference_mode():
            heat = self.heatmaps(pictures, crops)
            points, score = heatmap_codec.decode(heat, self._decode)
        return posetrack15_to_coco17(crops.to_picture(points, (heat.shape[3], heat.shape[2])), score)


def open_glsmamba(weights: str, device: str) -> tuple[GLSMamba, ViTPoseBackbone]:
    """The network and its backbone, from what --pose2d-weights says.

    Args:
        weights: FILE, or FILE,FOLDER where the backbone is not where it lay when the network was trained.

    Raises:
        UserError: what was named is not there, does not fit, or needs what is not installed.
    """
    path, folder = file_and_folder(weights)
    if not path.is_file():
        raise UserError(f"--pose2d-weights: there is no file {path}.")
    try:
        network, record = load_glsmamba(path, device)
        backbone = load_backbone(_backbone_path(path, folder, record.path), device)
    except (CheckpointError, ImportError) as error:
        raise UserError(f"{error}; or pass another --pose2d.") from error
    if backbone.channels != network.config.backbone_channels:
        raise UserError(
            f"{path} was trained on a backbone {network.config.backbone_channels} wide, this one is "
            f"{backbone.channels} wide; name the right one: --pose2d-weights FILE,FOLDER."
        )
    width, height = backbone.input_px
    if width % 32 or height % 32 or not network.config.takes(*backbone.grid):
        raise UserError(
            f"The backbone of {path} reads pictures of {width} × {height} pixels, which do not divide into this "
            "network's windows; name the one it was trained on: --pose2d-weights FILE,FOLDER."
        )
    if record.sha256 and backbone.sha256 != record.sha256:
        raise UserError(
            f"{path} was trained on a backbone with other weights (SHA-256 {record.sha256[:8]}…, not "
            f"{backbone.sha256[:8]}…); name the right one: --pose2d-weights FILE,FOLDER."
        )
    return network, backbone


def load_transformers() -> None:
    """Raises UserError where transformers is not installed."""
    try:
        vitpose.load_transformers()
    except ImportError as error:
        raise UserError(f"{error}.") from error


def _backbone_path(checkpoint: Path, named: Path | None, recorded: str) -> Path:
    """Where the backbone is: as named, as recorded, or under its recorded name beside the checkpoint."""
    if named:
        return named
    if not recorded:
        raise UserError(
            f"{checkpoint} does not say where its ViTPose backbone is; name its folder, too: --pose2d-weights "
            "FILE,FOLDER."
        )
    for place in (Path(recorded), checkpoint.parent / Path(recorded).name):
        if place.exists():
            return place
    raise UserError(
        f"The ViTPose backbone of {checkpoint} is no longer at {recorded}; name its folder: --pose2d-weights "
        "FILE,FOLDER."
    )
