"""Archives that claim more than they are, or hold more than arrays, are refused before they are unpacked."""

from __future__ import annotations

import io
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sasmamba.common.archives import ArchiveError, check_not_packed, read_npz
from sasmamba.common.errors import UserError
from sasmamba.models.hrnet import read_tensors
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.training.pickles import read_object_npz, read_pickle
from sasmamba.training.schema import read_motion_file


def npy(array: np.ndarray, shape: str = "") -> bytes:
    """An array as a .npy file, whose header may claim another shape."""
    raw = io.BytesIO()
    np.lib.format.write_array(raw, array)
    content = raw.getvalue()
    if shape:
        before = str(array.shape).encode()
        padded = content[: content.index(b"\n") + 1].replace(before, shape.encode())
        head = padded.rstrip(b"\n ")
        room = content.index(b"\n") + 1
        assert len(head) < room, "the header has no room for it"
        content = head + b" " * (room - 1 - len(head)) + b"\n" + content[room:]
    return content


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def zeros(path: Path, size: int) -> Path:
    """A small file that unpacks to so many bytes, and says so everywhere."""
    head = npy(np.zeros(0, np.uint8), f"({size},)")
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(head)
        for _ in range(size // 1_000_000):
            member.write(bytes(1_000_000))
    return path


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"x": npy(np.zeros(3), "(10**14,)")}, "malformed|Cannot parse"),
        ({"x": npy(np.zeros(3), "(99999999999999,)")}, r"x does not hold the array \(99999999999999,\) of float64"),
        ({"x": npy(np.zeros(3), "(2,)")}, "does not hold the array"),
        ({"x": npy(np.zeros(3), "(-3,)")}, "does not hold the array"),
        ({"x": npy(np.zeros(0), "(0, -1)")}, "does not hold the array"),
        ({"x": npy(np.array([None]))}, "x holds Python objects, which could run code"),
        ({"x": npy(np.array([{}, 1.0], dtype=object))}, "x holds Python objects"),
        ({"x": npy(np.zeros(3))[:-1]}, "does not hold the array"),
        ({"x": b"\x93NUMPY\x03\x00" + npy(np.zeros(3))[8:]}, "version of numpy's format"),
        ({"x": b"\x93NUMPY\x09\x00" + npy(np.zeros(3))[8:]}, "version"),
        ({"x": b"pixels"}, "magic"),
        ({"x": b""}, "magic|EOF"),
    ],
)
def test_what_is_refused(tmp_path: Path, members: dict[str, bytes], says: str) -> None:
    with pytest.raises(ArchiveError, match=says):
        read_npz(archive(tmp_path / "x.npz", **members))


def test_reads_what_numpy_writes(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(12.0).reshape(3, 4),
        "b": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "c": np.array("text"),
        "d": np.zeros((0, 17, 3)),
        "e": np.array([1, 2], ">f4"),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
        got = read_npz(tmp_path / "x.npz")
        assert list(got) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(got[name], array)
            assert got[name].dtype == array.dtype
    assert list(read_npz(tmp_path / "x.npz", ("e", "a", "z"))) == ["e", "a"]


def test_objects_beside_what_is_wanted_are_left_alone(tmp_path: Path) -> None:
    archive(tmp_path / "x.npz", x=npy(np.zeros(3)), y=npy(np.array([None])), z=npy(np.zeros(3), "(99999999999999,)"))
    assert read_npz(tmp_path / "x.npz", ("x",))["x"].tolist() == [0, 0, 0]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = zeros(tmp_path / "x.npz", 300_000_000)
    assert path.stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF)
    with pytest.raises(ArchiveError, match=r"its arrays claim 0\.3 GB, more than 0\.1"):
        read_npz(path, most_bytes=100_000_000)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_maxrss - before.ru_maxrss < 100_000  # kB
    assert after.ru_utime - before.ru_utime < 0.2


def test_many_arrays_count_together(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(1000), b=np.zeros(1000))
    assert len(read_npz(tmp_path / "x.npz", most_bytes=16_000)) == 2
    with pytest.raises(ArchiveError, match="its arrays claim"):
        read_npz(tmp_path / "x.npz", most_bytes=15_999)


def test_motion_files(tmp_path: Path) -> None:
    archive(tmp_path / "m.npz", joints=npy(np.zeros(3, np.int16), "(99999999999999,)"))
    with pytest.raises(UserError, match=r"not a readable NPZ file of motion .joints does not hold the array"):
        read_motion_file(tmp_path / "m.npz")


class _Made:
    """What a pickle calls when it is read."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self._made = call, arguments

    def __reduce__(self) -> Any:
        return self._made


@pytest.mark.parametrize(
    "made",
    [
        _Made(np.ndarray, (10**7,)),
        _Made(np._core.multiarray._reconstruct, np.ndarray, (10**7,), b"d"),
        _Made(np._core.multiarray._reconstruct, dict, (0,), b"b"),
        _Made(bytearray, 10**7),
        _Made(exec, "raise SystemExit"),
    ],
    ids=["array", "empty array", "another class", "bytes", "code"],
)
def test_pickles_make_nothing_but_what_they_hold(tmp_path: Path, made: _Made) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"train": made}))
    with pytest.raises(UserError, match="is not a pickle of plain arrays"):
        read_pickle(tmp_path / "x.pkl")
    raw = io.BytesIO()
    np.lib.format.write_array_header_1_0(raw, {"descr": "|O", "fortran_order": False, "shape": ()})
    archive(tmp_path / "x.npz", data=raw.getvalue() + pickle.dumps({"train": made}))
    with pytest.raises(UserError, match="cannot be read"):
        read_object_npz(tmp_path / "x.npz", "data")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    given = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": [np.float32(2.5), np.array(["x", "yy"])],
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(given, protocol))
    got = read_pickle(tmp_path / "x.pkl")
    np.testing.assert_array_equal(got["a"], given["a"])
    assert got["b"][0] == 2.5
    assert got["b"][1].tolist() == ["x", "yy"]


class TestPyTorchFiles:
    def test_as_pytorch_writes_them(self, tmp_path: Path) -> None:
        for new in (True, False):
            torch.save({"w": torch.arange(1000.0)}, tmp_path / "x.pth", _use_new_zipfile_serialization=new)
            check_not_packed(tmp_path / "x.pth")
            assert read_tensors(tmp_path / "x.pth")["w"].sum() == 499_500

    def test_packed(self, tmp_path: Path) -> None:
        torch.save({"w": torch.zeros(10_000_000)}, tmp_path / "x.pth")
        with (
            zipfile.ZipFile(tmp_path / "x.pth") as source,
            zipfile.ZipFile(tmp_path / "p.pth", "w", zipfile.ZIP_DEFLATED) as out,
        ):
            for info in source.infolist():
                out.writestr(info.filename, source.read(info))
        assert (tmp_path / "p.pth").stat().st_size < 100_000
        with pytest.raises(CheckpointError, match="read safely: its members are compressed"):
            read_tensors(tmp_path / "p.pth")
