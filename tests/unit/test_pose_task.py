"""The pose bundle: read back with MediaPipe's own schema classes, which the builder does not use."""

from __future__ import annotations

import io
import platform
import zipfile

import flatbuffers
import numpy as np
import pytest

from sasmamba.app.weights.pose_task import build_pose_task, with_normalization

schema = pytest.importorskip("mediapipe.tasks.metadata.schema_py_generated")
metadata_schema = pytest.importorskip("mediapipe.tasks.metadata.metadata_schema_py_generated")

PIXELS = np.arange(37, dtype=np.uint8)


def small_network(metadata: str | None = None) -> bytes:
    """A tflite file with one subgraph, a buffer of PIXELS and, if wanted, one metadata entry."""
    model = schema.ModelT()
    model.version, model.description = 3, "small"
    data = schema.BufferT()
    data.data = PIXELS
    model.buffers = [schema.BufferT(), data]
    graph = schema.SubGraphT()
    graph.name, graph.inputs = "graph", [4, 2]
    model.subgraphs = [graph]
    if metadata is not None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = metadata, 1
        model.metadata = [entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def read(network: bytes):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(network, 0))


@pytest.mark.parametrize("before", [None, "min_runtime_version"])
def test_adds_metadata_and_keeps_the_network(before: str | None) -> None:
    network = small_network(before)
    model = read(with_normalization(network, "a name", mean=12.5, std=3.0))
    assert model.version == 3
    assert model.description == b"small"
    assert [g.name for g in model.subgraphs] == [b"graph"]
    assert list(model.subgraphs[0].inputs) == [4, 2]
    np.testing.assert_array_equal(model.buffers[1].data, PIXELS)
    assert len(model.buffers) == 3
    names = [entry.name.decode() for entry in model.metadata]
    assert names == [*([before] if before else []), "TFLITE_METADATA"]

    raw = bytes(model.buffers[model.metadata[-1].buffer].data)
    assert metadata_schema.ModelMetadata.ModelMetadataBufferHasIdentifier(raw, 0)
    said = metadata_schema.ModelMetadataT.InitFromObj(metadata_schema.ModelMetadata.GetRootAsModelMetadata(raw, 0))
    assert said.name == b"a name"
    tensor = said.subgraphMetadata[0].inputTensorMetadata[0]
    assert tensor.content.contentProperties.colorSpace == metadata_schema.ColorSpaceType.RGB
    (unit,) = tensor.processUnits
    assert unit.optionsType == metadata_schema.ProcessUnitOptions.NormalizationOptions
    assert (list(unit.options.mean), list(unit.options.std)) == ([12.5], [3.0])


def test_buffers_stay_aligned() -> None:
    network = small_network()
    out = with_normalization(network, "n", mean=0.0, std=1.0)
    assert out.endswith(network)
    assert (len(out) - len(network)) % 16 == 0
    assert out.index(b"M001") % 16 == 4


def test_the_bundle_is_the_same_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_pose_task(small_network("x"), small_network())
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert build_pose_task(small_network("x"), small_network()) == first
    with zipfile.ZipFile(io.BytesIO(first)) as bundle:
        assert bundle.namelist() == ["pose_detector.tflite", "pose_landmarks_detector.tflite"]
        assert all(i.compress_type == zipfile.ZIP_STORED for i in bundle.infolist())
        assert bundle.read("pose_detector.tflite") == small_network("x")


@pytest.mark.parametrize(
    ("detector", "landmarks", "reason"),
    [
        (b"not a network", small_network(), "pose_detector: want a tflite file"),
        (small_network(), b"", "pose_landmarks: want a tflite file"),
        (small_network(), small_network("TFLITE_METADATA"), "pose_landmarks: has metadata already"),
    ],
    ids=["detector", "landmarks", "twice"],
)
def test_refuses(detector: bytes, landmarks: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build_pose_task(detector, landmarks)
