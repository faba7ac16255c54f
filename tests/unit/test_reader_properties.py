"""Readers of others' files: whatever the bytes, they give a value or the one error that their docstring names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_posetrack import video
from hypothesis import example, given
from hypothesis import strategies as st

from sasmamba.app.weights import manifest
from sasmamba.app.weights import store as weights_store
from sasmamba.common.errors import UserError
from sasmamba.training.cameras import load_rig
from sasmamba.training.posetrack import clips, read_posetrack
from sasmamba.training.read_bvh import read_bvh

SHIPPED = Path(__file__).parents[2] / "weights/manifest.toml"


BVH = """HIERARCHY ROOT Hips { OFFSET 0 0 0 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
JOINT Spine { OFFSET 0 10 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 5 0 } } }
MOTION Frames: 2 Frame Time: 0.01 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9"""
RIG = {
    "intrinsics": [{"id": "a", "fx": 1, "fy": 1, "width": 10, "height": 10, "radial": [0, 0, 0], "tangential": [0, 0]}],
    "extrinsics": {"S1": [{"id": "a", "rotation": [1, 0, 0, 0], "translation": [0, 0, 1]}]},
}

#: Any JSON, with the numbers and texts that readers stumble over.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([10**400, -1, 0, 1e39, 2**63, "²", "7", "9" * 5000, "\0", [], {}, [[]], [1, 2, 3, 4]]),
)
JSON = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


def damaged(draw: st.DrawFn, value: Any) -> Any:
    """A copy in which one thing, somewhere, is something else or missing."""
    if isinstance(value, dict | list) and value and draw(st.booleans() | st.just(True)):
        copied: Any = value.copy()
        key = draw(st.sampled_from(sorted(value))) if isinstance(value, dict) else draw(st.integers(0, len(value) - 1))
        if draw(st.integers(0, 9)) == 0:
            del copied[key]
        else:
            copied[key] = damaged(draw, value[key])
        return copied
    return draw(JSON)


@st.composite
def almost(draw: st.DrawFn, value: Any) -> Any:
    """JSON of a file that is right but for one place."""
    return damaged(draw, value)


def words_of(text: str) -> st.SearchStrategy[str]:
    """The words of a text with some exchanged, left out, repeated or made odd."""
    words = text.split()
    odd = st.sampled_from([*words, "nan", "inf", "-1", "0", "1e400", "9" * 30, "9" * 5000, "{", "}", "Wrotation", "é"])
    edit = st.tuples(st.integers(0, len(words) - 1), st.integers(0, 2), st.lists(odd, max_size=2))

    def edited(edits: list[tuple[int, int, list[str]]]) -> str:
        out = list(words)
        for at, removed, put in edits:
            out[at : at + removed] = put
        return " ".join(out)

    return st.lists(edit, max_size=4).map(edited)


@given(content=st.binary(max_size=300) | words_of(BVH).map(str.encode))
@example(content=b"HIERARCHY OFFSET 1 2 3")
@example(content=b"HIERARCHY }")
@example(content=b"HIERARCHY End Site { }")
@example(content=b"HIERARCHY { ROOT a { } }")
@example(content=b"HIERARCHY ROOT a { } MOTION Frames: 99999999999999999999999 Frame Time: 1")
@example(content=BVH.replace("0.01", "nan").encode())
@example(content=BVH.replace("Xrotation", "Wrotation").encode())
def test_bvh(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.bvh"
    path.write_bytes(content)
    try:
        bvh = read_bvh(path)
    except UserError:
        return
    positions = bvh.positions()
    assert positions.shape == (len(bvh.values), len(bvh.joints), 3)
    assert np.isfinite(positions).all()
    assert 0 < bvh.fps < float("inf")
    assert all(joint.parent < number for number, joint in enumerate(bvh.joints))


def test_the_bvh_that_is_edited_is_right(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(BVH)
    assert read_bvh(tmp_path / "a.bvh").positions().shape == (2, 3, 3)


@given(content=st.binary(max_size=200) | (JSON | almost(video(1))).map(lambda v: json.dumps(v).encode()))
@example(content=json.dumps(video(1)).replace("71", "1e999", 1).encode())
@example(content=json.dumps(video(1) | {"images": [{"id": "²", "file_name": "a"}]}).encode())
@example(content=json.dumps(video(1) | {"images": [{"id": "9" * 5000, "file_name": "a"}]}).encode())
def test_posetrack(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    try:
        frames = read_posetrack(path)
    except UserError:
        return
    for clip in clips(frames):
        assert len(clip.frames) == 5
        assert np.isfinite(clip.person.joints_px).all()
        assert np.isfinite(clip.person.box_px).all()


@given(content=st.binary(max_size=200) | (JSON | almost(RIG)).map(lambda v: json.dumps(v).encode()))
@example(content=json.dumps(RIG).replace("[1, 0, 0, 0]", '["x"]').encode())
@example(content=json.dumps(RIG).replace("[1, 0, 0, 0]", "[0, 0, 0, 0]").encode())
@example(content=json.dumps(RIG).replace('"height": 10', '"height": 0').encode())
def test_table_of_cameras(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    try:
        rig = load_rig(path)
    except UserError:
        return
    assert rig.cameras.R_world_cam.shape == (len(rig.subject), 3, 3)
    assert all(getattr(rig.cameras, name).isfinite().all() for name in ("R_world_cam", "position", "focal"))


def toml_of(value: Any) -> str:
    """A JSON value inline, as TOML writes it; None as a word that TOML does not know."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value)


MANIFEST = [
    {
        "name": "a",
        "purpose": "p",
        "licence": "MIT",
        "file": "a.bin",
        "source": [
            {"size": 3, "sha256": "0" * 64, "url": "https://example.org/a"},
            {"sha256_prefix": "0" * 8, "url": "https://example.org/b"},
            {"size": 3, "sha256": "0" * 64, "packaged": "a.bin"},
            {
                "size": 3,
                "sha256": "0" * 64,
                "pypi": {
                    "package": "x",
                    "version": "1",
                    "sha256": "1" * 64,
                    "members": [{"path": "a", "sha256": "2" * 64}],
                },
            },
        ],
    }
]


@given(
    content=st.binary(max_size=200)
    | words_of(SHIPPED.read_text(encoding="utf-8")[:3000]).map(str.encode)
    | almost(MANIFEST).map(lambda v: f"weights = {toml_of(v)}".encode("utf-8", "replace"))
)
@example(content=b"weights = 5")
@example(content=b"[[weights]]\nname = []\npurpose=''\nlicence=''\nfile='a'\nsource=[]\n" * 2)
def test_manifest(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.toml"
    path.write_bytes(content)
    try:
        entries = manifest.read_manifest(path)
    except ValueError:
        return
    store = weights_store.Store(entries, tmp_path / "cache", tmp_path)
    for entry in entries:
        status = store.status(entry.name)
        assert status.state in ("missing", "damaged", "ok")
        assert status.path.parent in (tmp_path / "cache", tmp_path)
        assert all(isinstance(s.label, str) and isinstance(s.check, str) for s in entry.sources)


@pytest.mark.parametrize(
    ("read", "begin", "error"),
    [
        pytest.param(read_posetrack, "", UserError, id="posetrack"),
        pytest.param(load_rig, "", UserError, id="cameras"),
        pytest.param(manifest.read_manifest, "weights = ", ValueError, id="manifest"),
    ],
)
def test_lists_within_lists_without_end(
    tmp_path: Path, read: Callable[[Path], object], begin: str, error: type[Exception]
) -> None:
    (tmp_path / "deep").write_text(begin + "[" * 100_000)
    with pytest.raises(error) as told:
        read(tmp_path / "deep")
    assert len(str(told.value)) < 500


def test_the_manifest_that_is_damaged_is_right(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(f"weights = {toml_of(MANIFEST)}")
    (entry,) = manifest.read_manifest(tmp_path / "m.toml")
    assert len(entry.sources) == 4


@pytest.mark.parametrize("file", ["../a", "/etc/a", "b/a", "..", "."])
def test_a_manifest_names_files_of_the_cache_only(tmp_path: Path, file: str) -> None:
    (tmp_path / "m.toml").write_text(f"weights = {toml_of([MANIFEST[0] | {'file': file}])}")
    with pytest.raises(ValueError, match="without folders"):
        manifest.read_manifest(tmp_path / "m.toml")
