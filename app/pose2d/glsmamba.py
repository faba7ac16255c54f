"""GLSMamba as a 2D backend: like HRNet's, but joints are read off five frames, those around the one that is asked.

Source: Feng et al. (see `models/glsmamba.py`), Section 3: a person's box in the middle frame, enlarged by a quarter,
cuts the same part out of all frames. Where a person has left it, in a frame before or after, the network sees that; it
is not told, the user is.
"""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sasmamba.app.pose2d import topdown
from sasmamba.app.pose2d.choices import file_and_folder
from sasmamba.app.pose2d.detectors import Detector
from sasmamba.app.pose2d.hrnet import HRNetPose2D
from sasmamba.app.pose2d.overlap import box_iou
from sasmamba.app.pose2d.protocol import begins_anew
from sasmamba.app.types import Frame, Person2D
from sasmamba.common import arrays
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models import heatmap_codec, vitpose
from sasmamba.models.glsmamba import GLSMamba
from sasmamba.models.glsmamba_checkpoint import load_glsmamba
from sasmamba.models.skeletons import POSETRACK, posetrack15_to_coco17
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.models.vitpose import ViTPoseBackbone, load_backbone

#: People whose sequences go through the networks together; one takes half a gigabyte.
TOGETHER = 2
#: Who was here in the frame before is still here if a box overlaps theirs by so much (intersection over union).
STILL_THERE = 0.1

_log = logging.getLogger(__name__)


class GLSMambaPose2D(HRNetPose2D):
    """Finds people with a detector and their joints with GLSMamba; see `protocol.Pose2D` and `foresight.Foresight`.

    People are followed as `HRNetPose2D` does it. Joints are PoseTrack's put in COCO's places, see
    `skeletons.posetrack15_to_coco17`: ears are stand-ins, eyes are missing.

    Frames that are not known stand as the nearest one that is: at both ends of a shot, as the field does it, and the
    future where nobody calls `foresee`.

    Args:
        network: from `load_glsmamba`, for PoseTrack's joints. backbone: what it was trained on, from `load_backbone`;
            anything with `channels`, `input_px` and the same call will do. Both are moved to `device`.
        detector, max_people, every, detect_every, decode: as for `HRNetPose2D`.

    Raises:
        ValueError: a backbone or a network that do not fit.
    """

    name = "glsmamba"

    def __init__(
        self,
        network: GLSMamba,
        backbone: nn.Module,
        detector: Detector,
        *,
        max_people: int = 4,
        every: int = 1,
        detect_every: int = 5,
        decode: heatmap_codec.Decode = "dark",
        device: torch.device | str = "cpu",
    ) -> None:
        config = network.config
        if config.backbone_channels != backbone.channels:
            raise ValueError(f"backbone: want {config.backbone_channels} channels, got {backbone.channels}")
        if config.joints != len(POSETRACK):
            raise ValueError(f"network: want PoseTrack's {len(POSETRACK)} joints, got {config.joints}")
        input_px: tuple[int, int] = backbone.input_px  # type: ignore[assignment]
        super().__init__(
            network,
            detector,
            input_px=input_px,
            max_people=max_people,
            every=every,
            detect_every=detect_every,
            decode=decode,
            device=device,
        )
        self._backbone: nn.Module | None = backbone.to(device).eval()
        self.ahead = config.frames // 2
        self._frames = config.frames
        self._known: deque[Frame] = deque(maxlen=config.frames)  # the newest, oldest first
        self._around: list[arrays.Picture] = []
        self._told_lost = False  # once is enough

    def foresee(self, frame: Frame) -> None:
        """Tells of a frame that `__call__` may be asked about later; one that is not later begins a new video."""
        newest = self._known[-1] if self._known else None
        if newest is not None and (frame.index <= newest.index or frame.bgr.shape != newest.bgr.shape):
            self._known.clear()
        self._known.append(frame)

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        """People in this frame, longest followed first."""
        if not any(known is frame for known in self._known):
            self.foresee(frame)
        wanted = range(frame.index - self.ahead, frame.index + self.ahead + 1)
        cuts = [f.index for f in self._known if f.cut is not None]
        begin = max((c for c in cuts if c <= frame.index), default=0)
        end = min((c for c in cuts if c > frame.index), default=frame.index + self._frames)
        shot = [f for f in self._known if begin <= f.index < end]
        self._around = [min(shot, key=lambda f: (abs(f.index - i), -f.index)).bgr for i in wanted]
        before = () if self._last is None or begins_anew(frame, self._last) else self._followed
        people = super().__call__(frame)
        lost = [b for b in before if all(box_iou(b.box_px, p.box_px) < STILL_THERE for p in people)]
        if lost and not self._told_lost:
            self._told_lost = True
            _log.info(
                f"2D: somebody was lost from frame {frame.index} on; in the {self.ahead} frames before, part of the "
                f"{self._frames} that {self.name} looks at together show them no more, so take their joints with care."
            )
        return people

    def joints_in(self, bgr: arrays.Picture, boxes_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Joints of the people in boxes (n, 4) x0, y0, x1, y1: (n, 17, 2) in pixels, (n, 17) scores of 0..1.

        `bgr` is the frame that was asked about last, or another one, which is then seen alone.
        """
        if self._network is None or self._backbone is None:
            raise ValueError("the backend is closed")
        pictures = self._around
        if not pictures or pictures[self.ahead] is not bgr:
            pictures = [bgr] * self._frames
        points15 = np.zeros((len(boxes_px), len(POSETRACK), 2), np.float32)
        score15 = np.zeros((len(boxes_px), len(POSETRACK)), np.float32)
        for start in range(0, len(boxes_px), TOGETHER):
            part = slice(start, start + TOGETHER)
            crops = topdown.Crops.around(boxes_px[part], self._input_px)
            with torch.inference_mode():
                heat = self._heatmaps(crops, pictures)
                points, score15[part] = heatmap_codec.decode(heat, self._decode)
            points15[part] = crops.to_picture(points, (heat.shape[3], heat.shape[2]))
        return posetrack15_to_coco17(points15, score15)

    def close(self) -> None:
        """Frees the models; a second call does nothing."""
        super().close()
        self._backbone = None
        self._known.clear()
        self._around = []

    def _heatmaps(self, crops: topdown.Crops, pictures: list[arrays.Picture]) -> Tensor:
        """(n, 15, h, w) of everybody's sequence of crops, the middle frame's."""
        assert self._network is not None
        assert self._backbone is not None
        images = torch.stack([heatmap_codec.normalised(crops.cut(p), self._device) for p in pictures], 1)
        return self._network(self._backbone(images.flatten(0, 1), self._frames))


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
