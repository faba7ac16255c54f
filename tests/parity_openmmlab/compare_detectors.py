"""MMDetection's RTMDet and Faster R-CNN through ours and called directly: `make parity-mmdet`.

Runs in the environment that `tools/install_openmmlab.sh --with-mmdet` makes, with MMCV's operations compiled. Both ways
get the same random weights, through a checkpoint file that MMEngine writes; the last layer's bias for people is raised,
so that some are found in noise. Prints the largest differences and exits with 1 where there is one.
"""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.registry import DefaultScope
from mmengine.runner import save_checkpoint

from sasmamba.app.pose2d.detector_choice import MMDET_MODELS
from sasmamba.app.pose2d.detectors import PERSON, people_in
from sasmamba.app.pose2d.openmmlab import MmdetDetector, zoo_model
from sasmamba.app.types import Frame


def main() -> int:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    rng = np.random.default_rng(0)
    frame = Frame(0, Fraction(0), rng.integers(0, 255, (360, 480, 3), np.uint8))
    failed = False
    for short, name in MMDET_MODELS.items():
        config = str(zoo_model("mmdet", name).config)
        torch.manual_seed(0)
        network = init_detector(config, None, device="cpu")
        for key, value in network.named_parameters():
            if re.search(r"(fc|rtm)_cls(\.\d)?\.bias$", key):
                value.data.fill_(-4.0)
                value.data[PERSON] = 3.0
            elif re.search(r"rtm_reg\.\d\.bias$", key):  # RTMDet's boxes, which are points otherwise
                value.data.fill_(2.0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "random.pth"
            save_checkpoint({"state_dict": network.state_dict()}, str(path))
            ours = MmdetDetector(name, path)(frame)
        with DefaultScope.overwrite_default_scope("mmdet"):
            found = inference_detector(network.eval(), frame.bgr).pred_instances.numpy()
        people = found.labels == PERSON
        direct = people_in(found.bboxes[people], found.scores[people], 480, 360)
        apart = np.abs(ours - direct).max() if len(ours) == len(direct) > 0 else np.inf
        failed |= not apart < 1e-3
        print(f"{short:12} {len(ours):4} people in noise, {len(direct)} directly, at most {apart:g} apart")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
