"""MoveNet's networks give what TensorFlow.js gives, in 8 bits nearly so, and bad files give a sentence."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from helpers_movenet import CASES, figures

from sasmamba.app import weights
from sasmamba.app.pose2d import movenet_networks as networks
from sasmamba.app.pose2d.multipose import find_people
from sasmamba.app.pose2d.overlap import joint_similarity
from sasmamba.common.errors import UserError
from sasmamba.common.shipped_weights import shipped_folder
from sasmamba.models.movenet_decode import decode_people, decode_person, of_maps
from sasmamba.models.movenet_int8 import activations, four_channelled, quantised, read_ranges, widened
from sasmamba.models.movenet_onnx import HEADS, GraphError, read_weights, to_onnx
from sasmamba.models.movenet_split import padded, reader, split

EXPECTED = json.loads((Path(__file__).parents[1] / "data" / "movenet_tfjs.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def bundle() -> Path:
    try:
        return weights.ensure("movenet")
    except UserError as error:
        pytest.skip(f"MoveNet cannot be had: {error}")


def opened(model: Any) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def maps(bundle: Path, name: str, case: tuple) -> tuple[Any, ...]:
    """What a whole graph answers, every map in all of its cells, as the decoder reads it."""
    session = opened(to_onnx(*networks.graph_files(bundle, name)))
    center, heat, regress, offset, *boxes = (m[0] for m in session.run(None, {"image": figures(*case)[None]}))
    return center, heat, of_maps(regress, *boxes), of_maps(offset)


@pytest.mark.parametrize("name", ["thunder", "lightning"])
@pytest.mark.parametrize("number", [0, 1])
def test_one_person_as_tensorflow_js_gives_them(bundle: Path, name: str, number: int) -> None:
    joints = decode_person(*maps(bundle, name, CASES[name][number]))
    want = np.array(EXPECTED[name][number]).reshape(17, 3)
    np.testing.assert_allclose(joints[:, [1, 0, 2]], want, atol=5e-4)


@pytest.mark.parametrize("number", [0, 1])
def test_many_people_as_tensorflow_js_gives_them(bundle: Path, number: int) -> None:
    people = decode_people(*maps(bundle, "multipose", CASES["multipose"][number]), most=6, threshold=0.15)
    rows = [row for row in np.array(EXPECTED["multipose"][number]) if row[55] >= 0.15]
    assert len(people) == len(rows)
    for (joints, box, score), row in zip(people, sorted(rows, key=lambda r: -r[55]), strict=True):
        want = row[:51].reshape(17, 3)
        np.testing.assert_allclose(box[[1, 0, 3, 2]], row[51:55], atol=5e-4)
        # a joint there may have the score of somebody else who expects one at its place
        assert (joints[:, 2] <= want[:, 2] + 5e-4).all()
        own = joints[:, 2] > 0.15
        np.testing.assert_allclose(joints[own][:, [1, 0]], want[own, :2], atol=5e-4)
        assert abs(score - row[55]) < 0.02


def test_eight_bits_lie_near_float(bundle: Path, shared: Path) -> None:
    side = networks.SIDES["thunder"]
    table = json.loads((shared / "images" / "coco_keypoints.json").read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in table["images"]}
    crops = []
    for person in table["annotations"]:
        picture = cv2.imread(str(shared / "images" / f"coco_{names[person['image_id']]}"))[..., ::-1]
        x, y, wide, high = person["bbox"]
        square, middle = (int(1.25 * max(wide, high)),) * 2, (x + wide / 2, y + high / 2)
        crop = cv2.getRectSubPix(np.ascontiguousarray(picture), square, middle)
        crops.append(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA))
    exact, small = (networks.open_thunder(precision=p)(np.stack(crops)) for p in ("float", "int8"))
    sure = exact[..., 2] > 0.3
    off = np.linalg.norm(exact[..., :2] - small[..., :2], axis=-1)[sure]
    assert 0 < off.mean() < 0.006
    assert np.median(off) < 0.005


def test_an_empty_picture_holds_nobody(bundle: Path) -> None:
    assert networks.open_multipose()(np.zeros((0, 20, 3), np.uint8)) == []


def test_every_picture_is_fitted() -> None:
    for height, width in ((64, 64), (288, 512), (4320, 7680), (1280, 720), (3, 900), (1, 1)):
        image, scale = networks.fitted(np.full((height, width, 3), 200, np.uint8))
        assert image.shape[0] % 32 == image.shape[1] % 32 == 0
        assert image.shape[0] * image.shape[1] < 3 * networks.MULTIPOSE_PIXELS
        assert image[: int(height * scale), : int(width * scale)].min() >= 199


def test_people_are_told_in_pixels_of_the_picture(bundle: Path) -> None:
    picture = figures(720, 1280, [(400, 360, 500), (950, 380, 450)], seed=5)
    found = networks.open_multipose()(picture)
    assert len(found) >= 2
    centres = sorted(float(np.mean(box[[0, 2]])) for _, box, _ in found[:2])
    np.testing.assert_allclose(centres, [400, 950], atol=60)
    for joints, box, score in found:
        assert 0.15 <= score <= 1
        assert joints.shape == (17, 3)
        assert (box[:2] >= 0).all()
        assert (box[2:] <= [1280, 720]).all()


def test_eight_bits_find_whom_float_finds(bundle: Path, shared: Path) -> None:
    exact, small = (networks.open_multipose(precision=p) for p in ("float", "int8"))
    sure, alike, more = 0, 0, 0
    for path in sorted((shared / "images").glob("coco_*.jpg")):
        picture = cv2.imread(str(path))
        want, got = ([person for person, score in find_people(n, picture) if score > 0.25] for n in (exact, small))
        sure += len(want)
        alike += sum(any(joint_similarity(a, b, min_score=0.1) > 0.5 for b in got) for a in want)
        more += sum(all(joint_similarity(a, b, min_score=0.1) <= 0.5 for a in want) for b in got)
    assert sure > 10
    assert alike >= 0.9 * sure
    assert more <= 0.1 * sure


def test_the_faster_precision_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SASMAMBA_WEIGHTS", str(tmp_path))
    calls: list[str] = []

    def seconds(name: str, precision: str) -> float:
        calls.append(precision)
        return {"float": 1.0, "int8": 0.9 if "slow" in name else 0.5}[precision]

    monkeypatch.setattr(networks, "_seconds", seconds)
    assert networks._faster("slow") == "float"  # hardly faster is not worth being less exact
    assert networks._faster("thunder") == "int8"
    assert len(calls) == 4
    assert (networks._faster("slow"), networks._faster("thunder")) == ("float", "int8")
    assert len(calls) == 4
    (tmp_path / "movenet-speed.json").write_text("[broken")
    assert networks._faster("thunder") == "int8"
    assert len(calls) == 6


def graph(op: str = "_FusedConv2D") -> tuple[dict, bytes]:
    """A network of one convolution per head, on the picture itself."""
    nodes = [{"name": "input", "op": "Placeholder"}, {"name": "net/sub_1", "op": "Sub", "input": ["input"]}]
    manifest, blob = [], b""
    for head, channels in (("center", 1), ("kpt_heatmap", 17), ("kpt_regress", 34), ("kpt_offset", 34)):
        name = f"net/{head}_0/conv/BiasAdd"
        for part, shape in (("w", [1, 1, 3, channels]), ("b", [channels])):
            manifest.append(
                {"name": f"{name}/{part}", "shape": shape, "dtype": "float32", "quantization": {"dtype": "float16"}}
            )
            blob += np.full(shape, 0.5 if part == "w" else 0.25, "<f2").tobytes()
        fused = [base64.b64encode(f).decode() for f in (b"BiasAdd", b"Relu6")]
        nodes.append(
            {
                "name": name,
                "op": op,
                "input": ["net/sub_1", f"{name}/w", f"{name}/b"],
                "attr": {"strides": {"list": {"i": ["1", "1", "1", "1"]}}, "fused_ops": {"list": {"s": fused}}},
            }
        )
    return {"modelTopology": {"node": nodes}, "weightsManifest": [{"weights": manifest}]}, blob


def test_a_small_graph_is_computed_as_written() -> None:
    document, blob = graph()
    model = to_onnx(json.dumps(document).encode(), blob)
    session = opened(model)
    image = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), np.uint8)
    center, heat, _, _ = session.run(None, {"image": image})
    want = np.clip(0.5 * (image / 127.5 - 1).sum(-1) + 0.25, 0, 6)
    np.testing.assert_allclose(center[:, 0], want, atol=1e-5)
    assert heat.shape == (2, 17, 32, 64)


def test_files_of_another_network_are_refused() -> None:
    document, blob = graph()
    text = json.dumps(document).encode()
    with pytest.raises(GraphError, match="bytes"):
        to_onnx(text, blob[:-2])
    with pytest.raises(GraphError, match=r"want \d+ bytes"):
        to_onnx(text, blob + b"\0\0")
    with pytest.raises(GraphError, match="not expected"):
        to_onnx(json.dumps(graph("Softmax")[0]).encode(), blob)
    with pytest.raises(GraphError, match="not a MoveNet"):
        to_onnx(b"{}", b"")
    with pytest.raises(GraphError, match="not a MoveNet"):
        to_onnx(b"\xff", b"")
    assert sum(t.size for t in read_weights(document, blob).values()) == 86 * 4


def test_channels_of_zeros_change_no_answer(bundle: Path) -> None:
    model = to_onnx(*networks.graph_files(bundle, "thunder"))
    wide = widened(model)
    sizes = [tensor.dims[0] for tensor in wide.graph.initializer if len(tensor.dims) == 4 and tensor.dims[1] == 1]
    assert {size % 16 for size in sizes} == {0}, "every depthwise convolution has whole vectors"
    ranges = read_ranges(shipped_folder() / "movenet_ranges.json")["thunder"]
    image = figures(*CASES["thunder"][0])[None]
    for narrow, wider in ((model, wide), (quantised(model, ranges, widen=False), quantised(model, ranges))):
        answers = [opened(m).run(None, {"image": image}) for m in (narrow, wider)]
        for a, b in zip(*answers, strict=True):
            np.testing.assert_allclose(a, b, atol=0 if narrow is not model else 1e-4)


@pytest.mark.parametrize(
    ("name", "coded", "heads"),
    [
        ("thunder", False, True),
        ("thunder", True, True),
        ("lightning", False, True),
        ("multipose", False, True),
        ("multipose", True, False),
    ],
)
def test_parts_say_in_every_cell_what_the_whole_graph_says(bundle: Path, name: str, coded: bool, heads: bool) -> None:
    whole = given = to_onnx(*networks.graph_files(bundle, name))
    image = figures(*CASES[name][0])
    if coded:
        ranges = read_ranges(shipped_folder() / "movenet_ranges.json")[name]
        whole, given = (quantised(m, ranges, heads=heads) for m in (whole, four_channelled(whole)))
    want = dict(zip([o.name for o in whole.graph.output], opened(whole).run(None, {"image": image[None]}), strict=True))
    parts = {part: opened(model) for part, model in split(given).items()}
    noise = np.random.default_rng(0).integers(0, 256, (*image.shape[:2], 1), np.uint8)
    seen = np.dstack([image, noise]) if coded else image
    center, heat, features = parts["maps"].run(None, {"image": seen[None]})
    tolerance = 0 if coded and heads else 1e-4
    np.testing.assert_allclose(center, want["center"], atol=tolerance)
    np.testing.assert_allclose(heat, want["kpt_heatmap"], atol=tolerance)
    rows, columns = (at.ravel() for at in np.indices(center.shape[-2:]))  # edges and corners among them
    for part, names in (("centres", ("kpt_regress", "box_scale", "box_offset")), ("joints", ("kpt_offset",))):
        got = reader(parts[part], padded(features[0]))(rows, columns)
        maps_there = [
            want[head][0].reshape(len(want[head][0]), -1).T for head in HEADS if head in names and head in want
        ]
        np.testing.assert_allclose(got, np.concatenate(maps_there, 1), atol=tolerance)


def test_heads_of_another_shape_are_not_split() -> None:
    document, blob = graph()
    with pytest.raises(GraphError, match="3 convolutions"):
        split(to_onnx(json.dumps(document).encode(), blob))


def test_quantising_wants_a_range_for_every_tensor() -> None:
    document, blob = graph()
    model = to_onnx(json.dumps(document).encode(), blob)
    ranges = {name: (0.0, 6.0) if name.endswith(":relu6") else (-1.0, 1.0) for name in activations(model)}
    session = onnxruntime.InferenceSession(
        quantised(model, ranges).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    want = np.clip(0.5 * (image / 127.5 - 1).sum(-1) + 0.25, 0, 6)
    np.testing.assert_allclose(session.run(["center"], {"image": image})[0][:, 0], want, atol=0.05)
    ranges.popitem()
    with pytest.raises(ValueError, match="ranges"):
        quantised(model, ranges)


def test_a_bundle_that_holds_something_else_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "movenet.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("movenet-thunder.json", "{}")
        archive.writestr("movenet-thunder.bin", b"")
    monkeypatch.setattr(weights, "ensure", lambda name, **_: path)
    with pytest.raises(UserError, match="holds no MoveNet"):
        networks.open_thunder(precision="float")
    assert list(tmp_path.glob("*.onnx")) == []


def test_crops_of_another_shape_are_refused(bundle: Path) -> None:
    with pytest.raises(ValueError, match=r"want \(N, 192, 192, 3\)"):
        networks.open_lightning()(np.zeros((1, 256, 256, 3), np.uint8))
    assert networks.open_lightning()(np.zeros((0, 192, 192, 3), np.uint8)).shape == (0, 17, 3)
