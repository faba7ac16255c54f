"""HRNet as a joint estimator: a crop around each person, a heatmap for each joint, in the fastest runtime there is."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from sasmamba.app.pose2d.detectors import session_options
from sasmamba.app.pose2d.estimator import Joints, in_batches
from sasmamba.app.pose2d.person_crops import Crops
from sasmamba.app.types import Frame
from sasmamba.common.arrays import FloatArray, Picture
from sasmamba.common.closing import Closing
from sasmamba.models import heatmap_codec
from sasmamba.models.hrnet import HRNet

Runtime = Literal["onnxruntime", "torch"]

#: Crops that go through the network together.
BATCH = 16


class HRNetEstimator(Closing):
    """Reads joints off HRNet's heatmaps; see `estimator.JointEstimator`. A joint's score is its heatmap's peak.

    On the CPU an HRNet runs in ONNX Runtime where that and `onnx` are installed, in about half of PyTorch's time, and
    its heatmaps differ from PyTorch's by rounding only (tests/parity/test_hrnet_onnx.py).

    Args:
        network: a pose network, from `models.hrnet.load_hrnet`; it is moved to `device`.
        input_px: width and height of the crops the network was trained on, (192, 256) or (288, 384).
        decode: see `heatmap_codec.decode`.
        flip: see `heatmap_codec.heatmaps`.
        device: where the network runs.
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
        *,
        input_px: tuple[int, int] = (192, 256),
        decode: heatmap_codec.Decode = "dark",
        flip: bool = False,
        device: torch.device | str = "cpu",
        threads: int | None = None,
    ) -> None:
        if input_px[0] % 32 or input_px[1] % 32:
            raise ValueError(f"input_px: want multiples of 32, got {input_px}")
        threads = torch.get_num_threads() if threads is None else threads
        if threads < 1:
            raise ValueError(f"threads: want 1 or more, got {threads}")
        self._network: heatmap_codec.Network | None
        self._network, self.runtime = _open(network.eval(), device, threads)
        self._input_px, self._device = input_px, device
        self._decode: heatmap_codec.Decode = decode
        self._flip = flip

    def __call__(self, frame: Frame, boxes_px: FloatArray) -> Joints:
        """See `estimator.JointEstimator`."""
        network = self._network
        if network is None:
            raise ValueError("the estimator is closed")
        return in_batches(lambda some: self._estimate(network, frame.bgr, some), boxes_px, BATCH)

    def close(self) -> None:
        """Frees the network; a second call does nothing."""
        self._network = None

    def _estimate(self, network: heatmap_codec.Network, bgr: Picture, boxes_px: FloatArray) -> Joints:
        crops = Crops.around(boxes_px, self._input_px)
        with torch.inference_mode():
            images = heatmap_codec.normalised(crops.cut(bgr), self._device)
            heat = heatmap_codec.heatmaps(network, images, flip=self._flip)
            points, score = heatmap_codec.decode(heat, self._decode)
        return crops.to_picture(points, (heat.shape[3], heat.shape[2])), score


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
