"""HRNet as a 2D backend: a detector says where people are, HRNet where their joints are.

Top-down, after Xiao et al., ECCV 2018, "Simple Baselines for Human Pose Estimation and Tracking": between two runs of
the detector a person's box is that of their joints in the frame before, with 15 % more on each side (Section 3,
without its optical flow).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from sasmamba.app.pose2d import topdown
from sasmamba.app.pose2d.detectors import Detector, session_options
from sasmamba.app.pose2d.overlap import box_iou, joint_similarity
from sasmamba.app.pose2d.protocol import begins_anew
from sasmamba.app.types import Frame, Person2D
from sasmamba.common import arrays
from sasmamba.common.arrays import FloatArray
from sasmamba.common.closing import Closing
from sasmamba.models import heatmap_codec
from sasmamba.models.hrnet import HRNet

Runtime = Literal["onnxruntime", "torch"]

#: The detector runs in one of so many frames of the video while somebody is followed, and at all while nobody is.
DETECT_EVERY = 5
#: A box of the detector counts from this score on.
BOX_SCORE = 0.3
#: A joint is seen from this score on, and so many seen joints make a person. Dogs and coats on a hook show fewer.
JOINT_SCORE, FEWEST_JOINTS = 0.3, 4
#: Room around a person's joints on each side: hands, feet and the top of the head, and a frame's motion.
MARGIN = 0.15
#: Boxes that overlap so much (intersection over union) are of one person, and so are poses this alike (object keypoint
#: similarity).
SAME_BOX, SAME_POSE = 0.5, 0.6
#: Crops that go through the network together.
BATCH = 16


class HRNetPose2D(Closing):
    """Finds people with a detector and their joints with HRNet; see `protocol.Pose2D`.

    A joint's score is its heatmap's peak. Boxes are those of the seen joints with a margin, cut at the picture's edge.

    On the CPU an HRNet runs in ONNX Runtime where that and `onnx` are installed, in about half of PyTorch's time, and
    its heatmaps differ from PyTorch's by rounding only (tests/parity/test_hrnet_onnx.py).

    Args:
        network: a pose network, from `models.hrnet.load_hrnet`; it is moved to `device`.
        detector: finds people; closed with this backend.
        input_px: width and height of the crops the network was trained on, (192, 256) or (288, 384).
        max_people: at most so many are returned, 1 or more. every: it is shown every so many frames of the video.
        detect_every: frames of the video from one run of the detector to the next, 1 or more.
        decode: see `topdown.decode`. flip: see `topdown.heatmaps`.
        threads: of ONNX Runtime, 1 or more; None for as many as PyTorch has, whose own number is its own affair.

    Attributes:
        runtime: what computes the heatmaps, `onnxruntime` or `torch`.

    Raises:
        ValueError: a number out of its range.
    """

    name = "hrnet"

    def __init__(
        self,
        network: nn.Module,
        detector: Detector,
        *,
        input_px: tuple[int, int] = (192, 256),
        max_people: int = 4,
        every: int = 1,
        detect_every: int = DETECT_EVERY,
        decode: heatmap_codec.Decode = "dark",
        flip: bool = False,
        device: torch.device | str = "cpu",
        threads: int | None = None,
    ) -> None:
        if max_people < 1 or every < 1 or detect_every < 1:
            raise ValueError(
                f"max_people, every and detect_every: want 1 or more, got {max_people}, {every} and {detect_every}"
            )
        if input_px[0] % 32 or input_px[1] % 32:
            raise ValueError(f"input_px: want multiples of 32, got {input_px}")
        threads = torch.get_num_threads() if threads is None else threads
        if threads < 1:
            raise ValueError(f"threads: want 1 or more, got {threads}")
        self._network: heatmap_codec.Network | None
        self._network, self.runtime = _open(network.eval(), device, threads)
        self._detector: Detector | None = detector
        self._input_px, self._device = input_px, device
        self._max_people, self._detect_every = max_people, max(1, detect_every // every)  # the latter in calls
        self._decode: heatmap_codec.Decode = decode
        self._flip = flip
        self._followed: tuple[Person2D, ...] = ()
        self._since_detection = 0
        self._last: Frame | None = None

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        """People in this frame, longest followed first.

        A frame that is not later than the one before it begins a new video, and one with a cut a new shot.
        """
        last, self._last = self._last, frame
        if last is not None and begins_anew(frame, last):
            self._followed = ()
        boxes = [p.box_px for p in self._followed]
        self._since_detection += 1
        if not boxes or self._since_detection >= self._detect_every:
            self._since_detection = 0
            boxes = _renewed(boxes, self._detect(frame))
        # More than are wanted: some will turn out to be nobody, or the same person twice.
        people = self._people_in(frame.bgr, boxes[: 2 * self._max_people])
        self._followed = _distinct(people)[: self._max_people]
        return self._followed

    def joints_in(self, bgr: arrays.Picture, boxes_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Joints of the people in boxes (n, 4) x0, y0, x1, y1: (n, 17, 2) in pixels, (n, 17) scores of 0..1."""
        if self._network is None:
            raise ValueError("the backend is closed")
        joints_px, score = np.zeros((len(boxes_px), 17, 2), np.float32), np.zeros((len(boxes_px), 17), np.float32)
        for start in range(0, len(boxes_px), BATCH):
            part = slice(start, start + BATCH)
            crops = topdown.Crops.around(boxes_px[part], self._input_px)
            with torch.inference_mode():
                images = heatmap_codec.normalised(crops.cut(bgr), self._device)
                heat = heatmap_codec.heatmaps(self._network, images, flip=self._flip)
                points, score[part] = heatmap_codec.decode(heat, self._decode)
            joints_px[part] = crops.to_picture(points, (heat.shape[3], heat.shape[2]))
        return joints_px, score

    def close(self) -> None:
        """Frees the models; a second call does nothing."""
        detector, self._detector, self._network, self._followed = self._detector, None, None, ()
        if detector is not None:
            detector.close()

    def _detect(self, frame: Frame) -> list[FloatArray]:
        """Boxes (4,) that may be people, the surest first."""
        if self._detector is None:
            raise ValueError("the backend is closed")
        found = self._detector(frame)
        if found.ndim != 2 or found.shape[1] != 5:
            raise ValueError(f"detections: want (n, 5), got {found.shape}")
        found = found[topdown.usable(found[:, :4], frame.bgr.shape[1], frame.bgr.shape[0]) & (found[:, 4] >= BOX_SCORE)]
        return [box.astype(np.float32) for box in found[np.argsort(-found[:, 4], kind="stable"), :4]]

    def _people_in(self, bgr: arrays.Picture, boxes: list[FloatArray]) -> list[Person2D]:
        if not boxes:
            return []
        found = [_person(*one, bgr) for one in zip(*self.joints_in(bgr, np.stack(boxes)), strict=True)]
        return [person for person in found if person is not None]


def _open(network: nn.Module, device: torch.device | str, threads: int) -> tuple[heatmap_codec.Network, Runtime]:
    """The network as it runs fastest there, and in what."""
    if torch.device(device).type == "cpu" and isinstance(network, HRNet):
        in_onnxruntime = _in_onnxruntime(network, threads)
        if in_onnxruntime is not None:
            return in_onnxruntime, "onnxruntime"
    # Channels last is what convolutions on a CPU and on tensor cores are fastest with.
    return network.to(device).to(memory_format=torch.channels_last), "torch"  # type: ignore[call-overload]


def _in_onnxruntime(network: HRNet, threads: int) -> heatmap_codec.Network | None:
    """The network in ONNX Runtime, with a copy of the weights; None where that or `onnx` is not installed."""
    try:
        import onnxruntime

        from sasmamba.models.hrnet_onnx import INPUT, onnx_model
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(
        onnx_model(network).SerializeToString(), session_options(threads), providers=["CPUExecutionProvider"]
    )

    def heatmaps(images: Tensor) -> Tensor:
        (heat,) = session.run(None, {INPUT: images.contiguous().numpy()})
        return torch.from_numpy(heat)

    return heatmaps


def _renewed(followed: list[FloatArray], detected: list[FloatArray]) -> list[FloatArray]:
    """Followed boxes first, each as the detector sees it now if it does; then newcomers, the surest first.

    Somebody the detector misses keeps the box around their joints.
    """
    detected = list(detected)
    renewed = []
    for box in followed:
        overlaps = [box_iou(box, d) for d in detected]
        seen = max(overlaps, default=0.0) >= SAME_BOX
        renewed.append(detected.pop(int(np.argmax(overlaps))) if seen else box)
    return renewed + detected


def _person(joints_px: FloatArray, score: FloatArray, bgr: arrays.Picture) -> Person2D | None:
    """A person as HRNet sees them; None where too few joints are seen, or where they are no larger than a speck."""
    seen = joints_px[score >= JOINT_SCORE]
    if len(seen) < FEWEST_JOINTS:
        return None
    low, high = seen.min(0), seen.max(0)
    height, width = bgr.shape[:2]
    room = MARGIN * (high - low)
    box = np.clip(np.concatenate([low - room, high + room]), 0, [width, height, width, height]).astype(np.float32)
    if not topdown.usable(box[None], width, height)[0]:
        return None
    return Person2D(None, box, joints_px, score)


def _distinct(people: list[Person2D]) -> tuple[Person2D, ...]:
    """Everybody once: of two alike poses the earlier stays."""
    kept: list[Person2D] = []
    for person in people:
        if all(joint_similarity(person, k, min_score=JOINT_SCORE) < SAME_POSE for k in kept):
            kept.append(person)
    return tuple(kept)
