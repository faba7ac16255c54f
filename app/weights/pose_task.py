"""Builds MediaPipe's pose landmarker bundle (`.task`) from the two bare networks that MediaPipe's wheels once held.

A `.task` is an uncompressed zip of `pose_detector.tflite` and `pose_landmarks_detector.tflite`, and each network must
say in its metadata how pixels become numbers: (pixel - mean) / std. The detection network does, the landmark network
does not.

Nothing of a network is rewritten: a new root table and the metadata are put in front of the old file, and point into
it. That needs no schema library, so the bundle is the same to the byte everywhere and can have a checksum. Formats:
FlatBuffers internals (https://flatbuffers.dev/internals), TensorFlow Lite's schema.fbs and metadata_schema.fbs.
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass, field

_ALIGN = 16  # what tflite asks of its buffers, and more than anything else in the file needs

# Slots of tflite's tables (schema.fbs).
_MODEL_BUFFERS, _MODEL_METADATA, _MODEL_SLOTS = 4, 6, 8
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_METADATA_KEY = "TFLITE_METADATA"
_BUFFER_DATA = 0
# Slots and values of the metadata's tables (metadata_schema.fbs).
_MODEL_NAME, _SUBGRAPHS, _MIN_PARSER_VERSION = 0, 3, 7
_INPUTS = 2
_TENSOR_NAME, _TENSOR_CONTENT, _TENSOR_PROCESS_UNITS = 0, 3, 4
_UNION_TYPE, _UNION_VALUE = 0, 1
_IMAGE_PROPERTIES, _NORMALIZATION_OPTIONS, _RGB = 2, 1, 1
_COLOR_SPACE, _MEAN, _STD = 0, 0, 1


def build_pose_task(detector: bytes, landmarks: bytes) -> bytes:
    """The bundle of a pose detection and a pose landmark network, the same bytes for the same input.

    Args:
        detector: pose_detection.tflite, which has metadata of its own and goes in as it is.
        landmarks: pose_landmark_*.tflite, which has none and takes pixels in 0..1.

    Raises:
        ValueError: one of them is not a tflite file, or `landmarks` has metadata already.
    """
    _check(detector, "pose_detector")
    members = {
        "pose_detector.tflite": detector,
        "pose_landmarks_detector.tflite": with_normalization(landmarks, "pose_landmarks", mean=0.0, std=255.0),
    }
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # otherwise the platform's own
            archive.writestr(info, data)
    return bundle.getvalue()


def with_normalization(network: bytes, name: str, *, mean: float, std: float) -> bytes:
    """The network with metadata that declares an RGB image input, normalised as (pixel - mean) / std.

    Raises:
        ValueError: not a tflite file, or one with metadata already.
    """
    _check(network, name)
    root = _follow(network, 0)
    fields = {slot: at for slot in range(_MODEL_SLOTS) if (at := _field(network, root, slot)) is not None}
    kept = _offsets(network, _follow(network, fields[_MODEL_METADATA])) if _MODEL_METADATA in fields else []
    if any(_text(network, entry, _METADATA_NAME) == _METADATA_KEY for entry in kept):
        raise ValueError(f"{name}: has metadata already")

    buffers: list[_Value] = [_Old(at) for at in _offsets(network, _follow(network, fields[_MODEL_BUFFERS]))]
    metadata: list[_Value] = [_Old(at) for at in kept]
    metadata.append(_Table({_METADATA_NAME: _METADATA_KEY, _METADATA_BUFFER: struct.pack("<I", len(buffers))}))
    buffers.append(_Table({_BUFFER_DATA: _Blob(_metadata(name, mean, std))}))
    model: dict[int, _Value] = {}
    for slot, at in fields.items():
        # The version is the only number among a model's fields, everything else lies elsewhere in the file.
        model[slot] = network[at : at + 4] if slot == 0 else _Old(_follow(network, at))
    model |= {_MODEL_BUFFERS: buffers, _MODEL_METADATA: metadata}
    return _FlatbufferWriter(b"TFL3").file(_Table(model), old=network)


def _check(network: bytes, name: str) -> None:
    if network[4:8] != b"TFL3":
        raise ValueError(f"{name}: want a tflite file (TFL3), got {network[4:8]!r}")


def _metadata(name: str, mean: float, std: float) -> bytes:
    image = _Table({_COLOR_SPACE: struct.pack("<b", _RGB)})
    content = _Table({_UNION_TYPE: struct.pack("<B", _IMAGE_PROPERTIES), _UNION_VALUE: image})
    options = _Table({_MEAN: _Floats([mean]), _STD: _Floats([std])})
    unit = _Table({_UNION_TYPE: struct.pack("<B", _NORMALIZATION_OPTIONS), _UNION_VALUE: options})
    tensor = _Table({_TENSOR_NAME: "image", _TENSOR_CONTENT: content, _TENSOR_PROCESS_UNITS: [unit]})
    root = _Table({_MODEL_NAME: name, _SUBGRAPHS: [_Table({_INPUTS: [tensor]})], _MIN_PARSER_VERSION: "1.0.0"})
    return _FlatbufferWriter(b"M001").file(root)


# Reading: positions are absolute, offsets in the file count from where they stand.


def _follow(data: bytes, at: int) -> int:
    """The position an offset stored at `at` points to."""
    return at + int(struct.unpack_from("<I", data, at)[0])


def _field(data: bytes, table: int, slot: int) -> int | None:
    """The position of a table's field, None where it is left at its default."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    entry = 4 + 2 * slot
    offset = struct.unpack_from("<H", data, vtable + entry)[0] if entry < size else 0
    return table + offset if offset else None


def _text(data: bytes, table: int, slot: int) -> str:
    at = _field(data, table, slot)
    if at is None:
        return ""
    start = _follow(data, at)
    return data[start + 4 : start + 4 + struct.unpack_from("<I", data, start)[0]].decode()


def _offsets(data: bytes, vector: int) -> list[int]:
    count = struct.unpack_from("<I", data, vector)[0]
    return [_follow(data, vector + 4 + 4 * i) for i in range(count)]


# Writing: parents before children, so that every offset points forward, as FlatBuffers asks.


@dataclass(frozen=True, slots=True)
class _Old:
    """Something in the file that follows, by its position there."""

    at: int


@dataclass(frozen=True, slots=True)
class _Blob:
    data: bytes


@dataclass(frozen=True, slots=True)
class _Floats:
    numbers: list[float]


@dataclass(frozen=True, slots=True)
class _Table:
    """Field values by slot; bytes are a number stored in place, anything else is pointed to."""

    fields: dict[int, _Value]


_Value = bytes | str | _Old | _Blob | _Floats | _Table | list["_Value"]


@dataclass(slots=True)
class _FlatbufferWriter:
    identifier: bytes
    out: bytearray = field(default_factory=bytearray)
    into_old: list[tuple[int, int]] = field(default_factory=list)

    def file(self, root: _Table, old: bytes = b"") -> bytes:
        """A whole file, with `old` behind it."""
        self.out += bytes(4) + self.identifier
        self._point(0, root)
        self._pad(_ALIGN)
        for at, target in self.into_old:
            struct.pack_into("<I", self.out, at, len(self.out) + target - at)
        return bytes(self.out) + old

    def _pad(self, to: int, before: int = 0) -> None:
        """Zeros until what comes `before` bytes later is aligned."""
        self.out += bytes(-(len(self.out) + before) % to)

    def _point(self, at: int, value: _Value) -> None:
        """Writes a value and the offset to it at `at`."""
        if isinstance(value, _Old):
            self.into_old.append((at, value.at))
        else:
            struct.pack_into("<I", self.out, at, self._write(value) - at)

    def _write(self, value: _Value) -> int:
        """Appends a value and all it points to; its position."""
        if isinstance(value, _Table):
            return self._table(value)
        self._pad(_ALIGN, before=4)
        start = len(self.out)
        if isinstance(value, str):
            self.out += struct.pack("<I", len(value.encode())) + value.encode() + b"\0"
        elif isinstance(value, _Blob):
            self.out += struct.pack("<I", len(value.data)) + value.data
        elif isinstance(value, _Floats):
            self.out += struct.pack(f"<I{len(value.numbers)}f", len(value.numbers), *value.numbers)
        elif isinstance(value, list):
            self.out += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for i, child in enumerate(value):
                self._point(start + 4 + 4 * i, child)
        else:
            raise TypeError(f"{type(value).__name__} cannot be pointed to")
        return start

    def _table(self, table: _Table) -> int:
        slots = sorted(table.fields)
        self._pad(4)
        vtable = len(self.out)
        places = [4 * (1 + slots.index(slot)) if slot in slots else 0 for slot in range(slots[-1] + 1)]
        size = 4 * (1 + len(slots))
        self.out += struct.pack(f"<{2 + len(places)}H", 4 + 2 * len(places), size, *places)
        self._pad(4)
        start = len(self.out)
        self.out += struct.pack("<i", start - vtable) + bytes(4 * len(slots))
        for slot in slots:
            value, at = table.fields[slot], start + places[slot]
            if isinstance(value, bytes):
                self.out[at : at + len(value)] = value
            else:
                self._point(at, value)
        return start
