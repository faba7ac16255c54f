"""Measures which values MoveNet's layers give on pictures of people, for `weights/movenet_ranges.json`.

    python tools/movenet_ranges.py FOLDER       pictures and annotations.json in COCO's format, as of coco128

Thunder sees every annotated person with nine or more joints in a square about their box, MultiPose every picture. Take
pictures that MoveNet was trained on, such as coco128's, and test on others.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime

from sasmamba.app import weights
from sasmamba.app.pose2d.movenet_networks import QUANTISED, SIDES, fitted, graph_files
from sasmamba.models.movenet_int8 import activations
from sasmamba.models.movenet_onnx import to_onnx


def crops(folder: Path, side: int) -> list[np.ndarray]:
    """A square (side, side, 3) RGB for each annotated person, with a quarter more than their box on all sides."""
    table = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in table["images"]}
    out = []
    for person in table["annotations"]:
        if person["iscrowd"] or person["num_keypoints"] < 9:
            continue
        rgb = cv2.imread(str(folder / names[person["image_id"]]))[..., ::-1]
        x, y, wide, high = person["bbox"]
        reach = 0.625 * max(wide, high)
        start = np.array([x + wide / 2 - reach, y + high / 2 - reach])
        scale = side / (2 * reach)
        matrix = np.array([[scale, 0, -scale * start[0]], [0, scale, -scale * start[1]]])
        out.append(cv2.warpAffine(np.ascontiguousarray(rgb), matrix, (side, side), flags=cv2.INTER_AREA))
    return out


def pictures(folder: Path) -> list[np.ndarray]:
    """All pictures (H, W, 3) RGB, as MultiPose gets them."""
    return [np.ascontiguousarray(fitted(cv2.imread(str(path)))[0][..., ::-1]) for path in sorted(folder.glob("*.jpg"))]


def measure(model: onnx.ModelProto, inputs: list[np.ndarray]) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of every quantised tensor, each averaged over all inputs.

    On the average, because the one picture with the largest value of all would make the steps of all others coarse:
    Thunder's joints then lie 0.75 % of the crop from those in float instead of 0.6.
    """
    names = activations(model)
    known = {output.name for output in model.graph.output}
    for name in names:
        if name not in known:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    low, high = np.zeros(len(names)), np.zeros(len(names))
    for image in inputs:
        values = session.run(names, {"image": image[None]})
        low += [float(v.min()) / len(inputs) for v in values]
        high += [float(v.max()) / len(inputs) for v in values]
    return {n: (round(float(a), 4), round(float(b), 4)) for n, a, b in zip(names, low, high, strict=True)}


def main() -> None:
    """Prints the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    bundle = weights.ensure("movenet")
    table = {}
    for name in QUANTISED:
        inputs = crops(folder, SIDES[name]) if name in SIDES else pictures(folder)
        table[name] = measure(to_onnx(*graph_files(bundle, name)), inputs)
    about = "Lowest and highest output of MoveNet's layers, averaged over coco128's people by tools/movenet_ranges.py."
    rows = [f'"{name}": {json.dumps(spans, separators=(",", ":"))}' for name, spans in table.items()]
    print(f'{{"about": {json.dumps(about)},\n"ranges": {{\n' + ",\n".join(rows) + "}}")


if __name__ == "__main__":
    main()
