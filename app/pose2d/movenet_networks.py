"""MoveNet's networks ready to run: converted once, kept in the cache, in 8 bits where this machine is faster so.

Thunder and Lightning see one person in a square crop, MultiPose at everybody in a picture. All of them may be
called from several threads at once; ONNX Runtime releases the interpreter's lock.
"""

from __future__ import annotations

import json
import logging
import math
import platform
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app import weights
from sasmamba.app.io.resizing import averaged
from sasmamba.app.pose2d.detectors import load_onnxruntime, session_options
from sasmamba.app.pose2d.multipose import MULTIPOSE_PIXELS
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path
from sasmamba.common.shipped_weights import shipped_folder
from sasmamba.models.movenet_decode import Reader, decode_people, decode_person
from sasmamba.models.movenet_int8 import four_channelled, quantised, read_ranges
from sasmamba.models.movenet_onnx import CONVERSION, STRIDE, GraphError, to_onnx
from sasmamba.models.movenet_split import PARTS, padded, reader, split

Precision = Literal["auto", "float", "int8"]

#: The crop's side in pixels of the networks that see one person.
SIDES = {"thunder": 256, "lightning": 192}
#: What may run in 8 bits, and whether its heads do, too. Lightning hardly gains by it and loses more (0.7 % of the
#: crop), and MultiPose makes several people of one where its heads do, since neighbouring cells are often equal then.
QUANTISED = {"thunder": True, "multipose": False}
#: Pictures that speed is measured on.
_SIZES = {"thunder": (SIDES["thunder"], SIDES["thunder"]), "multipose": (288, 512)}
#: The published graph stops at 6 people and its users at scores of 0.25; here more people, and less sure ones, are
#: found, and whoever asks decides.
MOST_PEOPLE, PERSON_SCORE = 20, 0.15
#: int8 has to be so much faster to be chosen: it is a little less exact.
_WORTH_IT = 0.8

_log = logging.getLogger(__name__)


class _Sessions:
    """One network: a session of each part of its graph, see `models.movenet_split`."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self._maps, self._centres, self._joints = (parts[part] for part in PARTS)
        self._channels = self._maps.get_inputs()[0].shape[-1]

    def __call__(self, rgb: NDArray[np.uint8]) -> Iterator[tuple[FloatArray, FloatArray, Reader, Reader]]:
        """What of each of the pictures (N, H, W, 3) the functions of `models.movenet_decode` take."""
        for picture in rgb:
            image = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA) if self._channels > 3 else np.ascontiguousarray(picture)
            center, heatmap, features = self._maps.run(None, {"image": image[None]})
            around = padded(features[0])
            yield center[0], heatmap[0], reader(self._centres, around), reader(self._joints, around)


class PoseNetwork:
    """Thunder or Lightning.

    Args:
        network: its sessions.
        side: of a crop, pixels.
    """

    def __init__(self, network: _Sessions, side: int) -> None:
        self._network, self.side = network, side

    def __call__(self, crops: NDArray[np.uint8], /) -> FloatArray:
        """Crops (N, side, side, 3) RGB to (N, 17, 3) x and y in fractions of the crop and score 0..1, COCO-17.

        Raises:
            ValueError: another shape.
        """
        if crops.ndim != 4 or crops.shape[1:] != (self.side, self.side, 3):
            raise ValueError(f"crops: want (N, {self.side}, {self.side}, 3), got {crops.shape}")
        out = np.zeros((len(crops), 17, 3), np.float32)
        for row, answer in zip(out, self._network(crops), strict=True):
            row[:] = decode_person(*answer)
        return out


class MultiPoseNetwork:
    """MultiPose.

    Args:
        network: its sessions.
    """

    def __init__(self, network: _Sessions) -> None:
        self._network = network

    def __call__(self, bgr: NDArray[np.uint8], /) -> list[tuple[FloatArray, FloatArray, float]]:
        """A picture (H, W, 3) BGR to its people, the surest first; an empty one has none.

        Returns:
            For each: joints (17, 3) x px, y px, score; box (4,) x0, y0, x1, y1 px, cut at the picture's edge; score.
        """
        if not bgr.size:
            return []
        image, scale = fitted(bgr)
        # colours change places in the small picture, which is much less to do than in the large one
        (answer,) = self._network(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)[None])
        size = np.array([image.shape[1], image.shape[0]], np.float32) / scale
        edge = np.array([bgr.shape[1], bgr.shape[0]] * 2, np.float32)
        return [
            (joints * np.append(size, 1).astype(np.float32), np.clip(box * np.tile(size, 2), 0, edge), score)
            for joints, box, score in decode_people(*answer, most=MOST_PEOPLE, threshold=PERSON_SCORE)
        ]


def fitted(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """A picture as MultiPose gets it: of `MULTIPOSE_PIXELS` pixels, filled up with black to multiples of 32.

    Returns:
        The picture, and how many of its pixels one of the given picture's is long.
    """
    height, width = picture.shape[:2]
    scale = math.sqrt(MULTIPOSE_PIXELS / (height * width))
    # a picture that is a thin strip must not become a stripe of no height
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    # averaging would make blocks of a small picture's pixels
    small = averaged(picture, (wide, high)) if scale < 1 else cv2.resize(picture, (wide, high))
    out = np.zeros((-(-high // STRIDE) * STRIDE, -(-wide // STRIDE) * STRIDE, 3), np.uint8)
    out[:high, :wide] = small
    return out, scale


def open_thunder(threads: int = 1, precision: Precision = "auto") -> PoseNetwork:
    """Thunder: one person in a crop of 256 × 256 pixels.

    Args:
        threads: of one call.
        precision: float, int8, or auto: int8 where a measurement, made once on this machine, finds it faster.

    Raises:
        UserError: the weights are not here and cannot be had, or cannot be used.
    """
    return PoseNetwork(_sessions("thunder", threads, precision), SIDES["thunder"])


def open_lightning(threads: int = 1) -> PoseNetwork:
    """Lightning: one person in a crop of 192 × 192 pixels, a quarter of Thunder's work; always in float.

    Args:
        threads: of one call.

    Raises:
        UserError: as `open_thunder`.
    """
    return PoseNetwork(_sessions("lightning", threads, "float"), SIDES["lightning"])


def open_multipose(threads: int = 1, precision: Precision = "auto") -> MultiPoseNetwork:
    """MultiPose: everybody in a picture, roughly.

    Args:
        threads: of one call.
        precision: as of `open_thunder`.

    Raises:
        UserError: as `open_thunder`.
    """
    return MultiPoseNetwork(_sessions("multipose", threads, precision))


def graph_files(bundle: Path, name: str) -> tuple[bytes, bytes]:
    """The JSON and the weights of one network out of the bundle that `weights.ensure("movenet")` gives."""
    with zipfile.ZipFile(bundle) as archive:
        return archive.read(f"movenet-{name}.json"), archive.read(f"movenet-{name}.bin")


def _sessions(name: str, threads: int, precision: Precision) -> _Sessions:
    if precision == "auto":
        precision = _faster(name)
    if precision not in {"float", "int8"}:
        raise ValueError(f"precision: want auto, float or int8, got {precision!r}")
    onnxruntime, options, sessions = load_onnxruntime(), session_options(threads), {}
    for part, path in _converted(name, precision).items():
        try:
            sessions[part] = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no class of their own in common
            path.unlink(missing_ok=True)  # the next run converts anew
            raise UserError(
                f"{path} could not be opened by ONNX Runtime ({error}); it was removed. Try again."
            ) from error
    return _Sessions(sessions)


def _converted(name: str, precision: Precision) -> dict[str, Path]:
    """The ONNX files of a network's parts, made from the published one where they are not all kept yet."""
    bundle = weights.ensure("movenet", instead="--pose2d mediapipe")
    paths = {part: bundle.with_name(f"movenet-{name}-{precision}-{part}-{CONVERSION}.onnx") for part in PARTS}
    made_s = bundle.stat().st_mtime
    if all(path.is_file() and path.stat().st_mtime >= made_s for path in paths.values()):
        return paths
    try:
        model = to_onnx(*graph_files(bundle, name))
        if precision == "int8":
            ranges = read_ranges(shipped_folder() / "movenet_ranges.json")
            model = quantised(four_channelled(model), ranges[name], heads=QUANTISED[name])
        parts = split(model)
    except (GraphError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{bundle} holds no MoveNet that can be used ({error}). Delete it and try again.") from error
    for part, path in paths.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(parts[part].SerializeToString())
    return paths


def _faster(name: str) -> Precision:
    """Which precision is faster here; measured when it is first asked for, then remembered for this processor."""
    note = weights.cache_dir() / "movenet-speed.json"
    here = f"{platform.machine()} {_processor()} onnxruntime {load_onnxruntime().__version__}"
    table = _remembered(note)
    known = table.setdefault(here, {})
    if known.get(name) in {"float", "int8"}:
        return known[name]
    seconds: dict[Precision, float] = {p: _seconds(name, p) for p in ("float", "int8")}
    chosen: Precision = "int8" if seconds["int8"] < _WORTH_IT * seconds["float"] else "float"
    known[name] = chosen
    with atomic_path(note) as temporary:
        temporary.write_text(json.dumps(table, indent=1), encoding="utf-8")
    return chosen


def _remembered(note: Path) -> dict[str, dict[str, Any]]:
    """What was measured before, by machine and network; nothing where the note is missing or broken."""
    try:
        table = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in table.items() if isinstance(v, dict)} if isinstance(table, dict) else {}


def _seconds(name: str, precision: Precision) -> float:
    """The fastest of a few calls on one thread, so that whatever else runs disturbs little."""
    network = _sessions(name, 1, precision)
    image = np.random.default_rng(0).integers(0, 256, (1, *_SIZES[name], 3), np.uint8)
    best = math.inf
    for _ in range(6):
        begin = time.perf_counter()
        next(network(image))
        best = min(best, time.perf_counter() - begin)
    return best


def _processor() -> str:
    """The processor's name as the system has it; two of the same name are taken to be equally fast."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "flags")):
                return line.partition(":")[2].strip() if line.startswith("model name") else line
    except OSError:
        pass
    return platform.processor() or "unknown"
