"""Our HRNet, crops and decoding beside MMPose's own: `make parity`.

Runs in an environment of its own that holds OpenMMLab. Both networks get the same random weights, with batch
statistics as a trained network might have, through a checkpoint file that MMEngine writes; MMPose then goes its whole
way (`inference_topdown`: pipeline, network, flip test, codec) on the same picture and boxes. Prints every difference
with its limit and exits with 1 when one is larger.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from sasmamba.app.pose2d import person_crops
from sasmamba.common import arrays
from sasmamba.models import heatmap_codec
from sasmamba.models.hrnet import load_hrnet

#: Inside and across the edge of the picture, wide, narrow and small; x0, y0, x1, y1 as fractions of the picture.
BOXES = np.array(
    [[0.2, 0.1, 0.6, 0.9], [-0.1, 0.3, 0.3, 1.2], [0.1, 0.4, 0.95, 0.6], [0.7, 0.05, 0.75, 0.5], [0.5, 0.5, 0.53, 0.6]],
    np.float32,
)
HEATMAP_LIMIT, KEYPOINT_LIMIT_PX, CODEC_LIMIT = 1e-4, 0.1, 1e-3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path, nargs="?", help="a picture; by default a drawn one")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    bgr = drawn() if args.image is None else cv2.imread(str(args.image))
    if bgr is None:
        parser.error(f"{args.image} is not a picture")
    boxes = (BOXES * np.tile(bgr.shape[1::-1], 2)).astype(np.float32)
    sound = compare_codec()
    for width, rows in (
        ("w32", "8xb64-210e_coco-256x192"),
        ("w32", "8xb64-210e_coco-384x288"),
        ("w48", "8xb32-210e_coco-256x192"),
        ("w48", "8xb32-210e_coco-384x288"),
    ):
        sound &= compare_network(f"td-hm_hrnet-{width}_{rows}", bgr, boxes)
    return 0 if sound else 1


def drawn() -> arrays.Picture:
    """(480, 640, 3) smooth colours with edges, noise and shapes, always the same."""
    random = np.random.default_rng(4)
    coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    picture = np.clip(picture + random.integers(-12, 13, picture.shape), 0, 255).astype(np.uint8)
    for _ in range(40):
        (x, y), radius = random.integers(0, (640, 480)).tolist(), int(random.integers(4, 40))
        cv2.circle(picture, (x, y), radius, random.integers(0, 256, 3).tolist(), -1)
    return picture


def report(what: str, difference: float, limit: float, note: str = "") -> bool:
    print(f"{what:58s} {difference:9.2e}  limit {limit:.0e}  {'ok' if difference <= limit else 'TOO LARGE'}  {note}")
    return difference <= limit


def compare_codec() -> bool:
    """Decoding alone, on heatmaps like a trained network's: one Gaussian per joint at any place, some noise."""
    from mmpose.codecs import MSRAHeatmap

    random = np.random.default_rng(5)
    centre = random.uniform((-1, -1), (48, 64), (40, 17, 2)).astype(np.float32)
    grid = np.stack(np.meshgrid(np.arange(48), np.arange(64)), -1)
    heat = np.exp(-np.square(grid - centre[:, :, None, None]).sum(-1) / (2 * 2.0**2))
    heat = (heat + random.normal(0, 0.002, heat.shape)).astype(np.float32)
    sound = True
    for how in ("quarter", "dark"):
        codec = MSRAHeatmap((192, 256), (48, 64), sigma=2, unbiased=how == "dark")
        theirs = np.concatenate([codec.decode(h)[0] for h in heat]) / 4
        ours, _ = heatmap_codec.decode(torch.from_numpy(heat), how)
        off = np.abs(ours - theirs).max(-1)
        judged = off if how == "quarter" else off[on_a_hill(theirs, heat)]
        note = f"{judged.size} of {off.size} joints" + ("" if how == "quarter" else ", those on a sound hill")
        sound &= report(f"codec, {how}: heatmap px", float(judged.max()), CODEC_LIMIT, note)
    return sound


def on_a_hill(points: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Where DARK's step stays within its reach of 2 px; beyond, ours keeps the quarter shift and MMPose goes on."""
    n, joints, _, w = heat.shape
    at = heat.reshape(n, joints, -1).argmax(-1)
    return np.abs(points - np.stack([at % w, at // w], -1)).max(-1) <= 2


def compare_network(config_name: str, bgr: arrays.Picture, boxes: np.ndarray) -> bool:
    """One of MMPose's own configurations, as it is published, against ours."""
    from mmengine.runner import save_checkpoint
    from mmpose.apis import inference_topdown, init_model

    config = configuration(config_name)
    input_px = config.codec["input_size"]
    theirs = init_model(config, None, device="cpu")
    randomise(theirs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        save_checkpoint(
            {
                "meta": {"dataset_meta": theirs.dataset_meta},
                "state_dict": theirs.state_dict(),
                "message_hub": history(),
            },
            str(path),
        )
        ours = load_hrnet(path)
    print(f"\n{config_name}: {sum(p.numel() for p in ours.parameters()):,} parameters")

    crops = person_crops.Crops.around(boxes, input_px)
    cut = crops.cut(bgr)
    with torch.inference_mode():
        images = heatmap_codec.normalised(cut)
        mine = heatmap_codec.heatmaps(ours, images)
        reference = theirs.head(theirs.backbone(images.contiguous()))
    spread = f"heatmaps reach from {reference.min():.2f} to {reference.max():.2f}"
    sound = report("heatmaps of the same crops", float((mine - reference).abs().max()), HEATMAP_LIMIT, spread)

    for how in ("quarter", "dark"):
        for flip in (False, True):
            theirs.test_cfg.flip_test = flip
            theirs.test_cfg.output_heatmaps = True
            theirs.head.decoder.unbiased = how == "dark"
            samples = inference_topdown(theirs, bgr, boxes)
            with torch.inference_mode():
                heat = heatmap_codec.heatmaps(ours, images, flip=flip)
            their_heat = np.stack([s.pred_fields.heatmaps.numpy() for s in samples])
            their_points = np.concatenate([s.pred_instances.keypoints for s in samples])
            off = float(np.abs(heat.numpy() - their_heat).max())
            name = f"{how}{', flip test' if flip else ''}"
            sound &= report(f"{name}: heatmaps, each from its own crop", off, HEATMAP_LIMIT)
            points, _ = heatmap_codec.decode(heat, how)
            mine_px = crops.to_picture(points, (heat.shape[3], heat.shape[2]))
            best, second = np.sort(their_heat.reshape(*their_points.shape[:2], -1), -1)[..., [-1, -2]].transpose(
                2, 0, 1
            )
            judged = (best > 0) & (best - second > 1e-3)  # the others are nowhere, or at one of two places
            if how == "dark":
                factor = np.array([their_heat.shape[3], their_heat.shape[2]])
                in_crop = (their_points - crops.centre_px[:, None]) / crops.size_px[:, None] + 0.5
                judged &= on_a_hill(in_crop * factor, their_heat)
            off = float(np.abs(mine_px - their_points)[judged].max())
            note = f"{judged.sum()} of {judged.size} joints"
            sound &= report(f"{name}: keypoints, px of the picture", off, KEYPOINT_LIMIT_PX, note)
    return sound


def configuration(name: str) -> Any:
    """MMPose's own configuration file, without the download of a backbone."""
    import mmpose
    from mmengine.config import Config

    folder = Path(mmpose.__file__).parent / ".mim/configs/body_2d_keypoint/topdown_heatmap/coco"
    config = Config.fromfile(folder / f"{name}.py")
    config.model.backbone.init_cfg = None
    return config


def randomise(model: torch.nn.Module) -> None:
    """Weights and batch statistics from a fixed seed; heatmaps reach about as far as a trained network's, to 1."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:  # only the last layer has one
                module.weight.data /= 25
                module.bias.data.normal_(0.6, 0.1, generator=generator)
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.3, 0.6, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.num_batches_tracked.fill_(1000)


def history() -> dict[str, Any]:
    """What MMEngine leaves in its checkpoints beside the tensors, and `weights_only` refuses."""
    from mmengine.logging import HistoryBuffer

    return {"log_scalars": {"train/loss": HistoryBuffer([0.2, 0.1], [1, 1])}, "runtime_info": {"iter": 2}}


if __name__ == "__main__":
    sys.exit(main())
