"""Who is where, in pixels: one protocol, one file per backend, one function that chooses."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from sasmamba.app.pose2d.choices import DEFAULT_HRNET, GLSMAMBA_NEEDS, Backend2D
from sasmamba.app.pose2d.protocol import Pose2D
from sasmamba.common.errors import UserError
from sasmamba.common.machine import cores

if TYPE_CHECKING:
    from sasmamba.app.pose2d.choices import DetectorName
    from sasmamba.app.pose2d.detectors import Detector
    from sasmamba.app.pose2d.movenet import MoveNetPose2D
    from sasmamba.app.pose2d.topdown import TopDownPose2D


#: MoveNet's weights, of all its networks.
MOVENET = "movenet"
#: What `auto` tries offline before MediaPipe, and by which weights it tells whether that can run.
_AUTO: tuple[tuple[Backend2D, str], ...] = (("hrnet", DEFAULT_HRNET), ("movenet", MOVENET))
#: Why `auto` passes HRNet over.
_NO_HRNET_LIVE = "HRNet is too slow for live without a GPU"
_NO_HRNET = (
    "HRNet's weights are not here and cannot be fetched now "
    f"(`sasmamba-demo weights fetch {DEFAULT_HRNET}` tries again)"
)
#: Live, the joints of one person may take so many milliseconds; where Thunder takes longer, Lightning begins.
LIVE_CROP_MS = 25.0

#: Width and height of the crops that the HRNets of the weights manifest were trained on, by name. The network takes any
#: size and no tensor tells which was meant.
HRNET_INPUT_PX = {
    "hrnet-w32": (192, 256),
    "hrnet-w32-384x288": (288, 384),
    "hrnet-w48": (192, 256),
    "hrnet-w48-384x288": (288, 384),
}

#: MediaPipe's weights.
MEDIAPIPE_MODEL = "pose-landmarker-full"


_log = logging.getLogger(__name__)


def open_pose2d(
    backend: Backend2D,
    *,
    max_people: int,
    detector: DetectorName = "auto",
    weights: str | None = None,
    input_px: tuple[int, int] | None = None,
    device: str = "cpu",
    live: bool = False,
    soon: bool = False,
    threads: int | None = None,
) -> Pose2D:
    """The backend of that name, its models loaded (fetched first if they are not here).

    `auto` is HRNet where its weights are here or can be had without a wait (see `store.Store.obtain`), else MoveNet
    where its can, else MediaPipe; live without a GPU it passes over HRNet, which is many times slower. One line says
    which and why.

    Args:
        max_people: at most so many are found in one frame.
        detector: finds people for hrnet, openmmlab and glsmamba; MoveNet and MediaPipe find them themselves.
        weights: none for movenet; for hrnet a name from the weights manifest or a checkpoint; for mediapipe a .task
            file; for openmmlab a name in MMPose's model index or a checkpoint of its default model; None for the
            default; for glsmamba a checkpoint, which it needs, see `glsmamba_estimator.open_glsmamba`.
        input_px: width and height of the crops that hrnet's weights were trained on; None where they are of the weights
            manifest, under whatever name, which tells it.
        device: cpu or cuda; MoveNet and MediaPipe always run on the CPU.
        live: frames will not wait.
        soon: the first frame of many is to be out soon; MoveNet then finds small people some frames later.
        threads: of MoveNet; None for as many as there are cores.

    Raises:
        UserError: the backend is not installed or its models cannot be had, with what to do.
        ValueError: an unknown name.
    """
    if backend == "auto":
        return _auto(max_people, detector, device, live, soon, threads)
    if backend in ("movenet", "movenet-lightning"):
        if weights is not None:
            raise UserError(f"--pose2d {backend} has weights of its own; leave --pose2d-weights out.", exit_code=2)
        return _movenet(max_people, lightning=backend == "movenet-lightning", live=live, soon=soon, threads=threads)[0]
    if backend == "mediapipe":
        return _mediapipe(max_people, weights)
    if backend == "hrnet":
        path, size = _hrnet_weights(weights or DEFAULT_HRNET, input_px)
        return _hrnet(path, size, max_people, detector, device)[0]
    if backend == "openmmlab":
        return _openmmlab(max_people, detector, weights, device)
    if backend == "glsmamba":
        return _glsmamba(max_people, detector, weights, device, live)
    raise ValueError(f"pose2d: want one of {', '.join(get_args(Backend2D))}, got {backend!r}")


def offline_choice() -> Backend2D:
    """What `auto` means for a file: the first backend whose weights are here or can be had without a wait."""
    from sasmamba.app import weights

    return next((backend for backend, files in _AUTO if weights.obtain(files) is not None), "mediapipe")


def _auto(max_people: int, detector: DetectorName, device: str, live: bool, soon: bool, threads: int | None) -> Pose2D:
    from sasmamba.app import weights

    slow = live and device == "cpu"
    path = None if slow else weights.obtain(DEFAULT_HRNET)
    if path is not None:
        pose2d, finder = _hrnet(path, HRNET_INPUT_PX[DEFAULT_HRNET], max_people, detector, device)
        _log.info(f"2D: HRNet-W32, because its weights are here; {finder} finds people. --pose2d movenet is faster.")
        return pose2d
    why = _NO_HRNET_LIVE if slow else _NO_HRNET
    if weights.obtain(MOVENET) is not None:
        movenet, network = _movenet(max_people, lightning=False, live=live, soon=soon, may_hurry=live, threads=threads)
        _log.info(f"2D: MoveNet {network}, because {why}.")
        return movenet
    mediapipe = _mediapipe(max_people, None)
    _log.info(
        f"2D: MediaPipe, because {why}, and MoveNet's weights are not here either; "
        f"`sasmamba-demo weights fetch {MOVENET}` tells what is in the way."
    )
    return mediapipe


def _movenet(
    max_people: int, *, lightning: bool, live: bool, soon: bool, may_hurry: bool = False, threads: int | None
) -> tuple[MoveNetPose2D, str]:
    """MoveNet, and which of its networks finds joints; one that may hurry can change it, and begins with one that is
    fast enough here."""
    from sasmamba.app.pose2d.crop_network import crop_ms
    from sasmamba.app.pose2d.movenet import MoveNetPose2D
    from sasmamba.app.pose2d.movenet_networks import open_lightning, open_multipose, open_thunder

    # crops side by side, each on one thread, are faster than one crop on several
    network = open_lightning() if lightning else open_thunder()
    if may_hurry and crop_ms(network) > LIVE_CROP_MS:
        network, lightning = open_lightning(), True
    using = "Lightning" if lightning else "Thunder"
    backend = MoveNetPose2D(
        network,
        open_multipose(),
        max_people=max_people,
        # Mirrored crops halve how often Thunder exchanges sides and nearly double its cost; Lightning gains nothing by
        # them (benchmarks/pose2d_quality.py).
        mirror=not live and not lightning,
        name="movenet-lightning" if lightning else "movenet",
        threads=threads or cores(),
        soon=soon,
        waits=not live,
        others={"Thunder": open_thunder, "Lightning": open_lightning} if may_hurry else None,
        using=using,
    )
    return backend, using


def _mediapipe(max_people: int, weights: str | None) -> Pose2D:
    from sasmamba.app.pose2d.mediapipe import MediaPipePose2D

    return MediaPipePose2D(None if weights is None else _file(weights), max_people=max_people)


def _hrnet(
    path: Path, input_px: tuple[int, int], max_people: int, detector: DetectorName, device: str
) -> tuple[TopDownPose2D, str]:
    """HRNet, and what finds people for it."""
    from sasmamba.app.pose2d.hrnet_estimator import HRNetEstimator
    from sasmamba.app.pose2d.topdown import TopDownPose2D
    from sasmamba.models.hrnet import load_hrnet
    from sasmamba.models.tensorfile import CheckpointError

    try:
        network = load_hrnet(path, device)
    except CheckpointError as error:
        raise UserError(f"{error}; see `sasmamba-demo weights list`, or pass --pose2d mediapipe.") from error
    with _detector(detector, max_people, device) as (finder, found_by):
        estimator = HRNetEstimator(network, input_px=input_px, device=device)
        return TopDownPose2D(estimator, finder, max_people=max_people), found_by


@contextmanager
def _detector(name: DetectorName, max_people: int, device: str) -> Iterator[tuple[Detector, str]]:
    """A detector and what it is; it is the body's from there on, and closed where that fails."""
    import torch

    from sasmamba.app.pose2d.detector_choice import open_detector

    detector, kind = open_detector(name, max_people=max_people, device=device, threads=torch.get_num_threads())
    try:
        yield detector, kind
    except BaseException:
        detector.close()
        raise


def _hrnet_weights(name: str, input_px: tuple[int, int] | None) -> tuple[Path, tuple[int, int]]:
    """The file of HRNet's weights, by a name of the manifest or its own, and the size of the crops they want.

    Raises:
        UserError: there is no such file, or nothing says the size (exit code 2), or two things say it differently.
    """
    from sasmamba.app import weights

    if Path(name).suffix:
        path = _file(name)
        known = _published_px(path)
    elif name in HRNET_INPUT_PX:
        path, known = weights.ensure(name, instead="--pose2d mediapipe"), HRNET_INPUT_PX[name]
    else:
        there = ", ".join(HRNET_INPUT_PX)
        raise UserError(
            f"There are no weights of HRNet called {name!r}; there are: {there}. A file of your own is named with its "
            "suffix.",
            exit_code=2,
        )
    if known is None and input_px is None:
        raise UserError(
            f"{path} does not say which size of crops it was trained on: say it with --pose2d-size, height first, "
            "256x192 or 384x288 for most HRNets; the file's publisher tells.",
            exit_code=2,
        )
    if known is not None and input_px not in (known, None):
        raise UserError(
            f"{name} was trained on crops of {known[1]}x{known[0]}: leave --pose2d-size out, it is known.", exit_code=2
        )
    return path, known or input_px  # type: ignore[return-value]  # one of them is there


def _published_px(path: Path) -> tuple[int, int] | None:
    """The size that a file of the weights manifest wants, by its content and not its name; None of other files."""
    from sasmamba.app import weights

    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    for entry in weights.entries():
        if entry.name in HRNET_INPUT_PX and any(source.yields(sha256) for source in entry.sources):
            return HRNET_INPUT_PX[entry.name]
    return None


def ensure_models(
    backend: Backend2D, detector: DetectorName, named: str | None = None, input_px: tuple[int, int] | None = None
) -> None:
    """Has the weights of a 2D stage fetched, for whoever will open it in many processes.

    Args:
        backend, detector, named, input_px: as `open_pose2d`'s backend, detector, weights and input_px.

    Raises:
        UserError: they cannot be had, with what to do.
    """
    from sasmamba.app import weights
    from sasmamba.app.pose2d.detector_choice import choose_detector

    if backend == "auto":
        backend = offline_choice()
    elif backend == "hrnet":
        _hrnet_weights(named or DEFAULT_HRNET, input_px)
    elif backend == "mediapipe" and named is not None:
        _file(named)
        return
    finder = choose_detector(detector)[0] if backend == "hrnet" else backend
    if finder == "mediapipe":
        weights.ensure(MEDIAPIPE_MODEL)
    elif finder in ("movenet", "movenet-lightning", "multipose"):
        weights.ensure(MOVENET)


def _openmmlab(max_people: int, detector: DetectorName, weights: str | None, device: str) -> Pose2D:
    from sasmamba.app.pose2d.openmmlab import DEFAULT_MODEL, MMPoseEstimator, load_mmpose
    from sasmamba.app.pose2d.topdown import TopDownPose2D

    load_mmpose()  # what is missing is said before a detector is fetched
    model, checkpoint = weights or DEFAULT_MODEL, None
    if Path(model).suffix:
        model, checkpoint = DEFAULT_MODEL, _file(model)
    with _detector(detector, max_people, device) as (finder, _):
        estimator = MMPoseEstimator(model, checkpoint, device=device)
        return TopDownPose2D(estimator, finder, max_people=max_people)


def _glsmamba(max_people: int, detector: DetectorName, weights: str | None, device: str, live: bool) -> Pose2D:
    from sasmamba.app.pose2d.glsmamba_estimator import GLSMambaEstimator, open_glsmamba
    from sasmamba.app.pose2d.topdown import TopDownPose2D

    if live:
        raise UserError(
            "--pose2d glsmamba sees the frames after the one that it is asked about, so it is for videos and not for "
            "live; pass --pose2d movenet or --pose2d hrnet.",
            exit_code=2,
        )
    if weights is None:
        raise UserError(GLSMAMBA_NEEDS, exit_code=2)
    network, backbone = open_glsmamba(weights, device)
    with _detector(detector, max_people, device) as (finder, _):
        estimator = GLSMambaEstimator(network, backbone, device=device)
        return TopDownPose2D(estimator, finder, max_people=max_people)


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise UserError(f"--pose2d-weights: there is no file {path}.")
    return path
