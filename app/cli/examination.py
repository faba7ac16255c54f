"""What works on this machine, and what to do about the rest: what `sasmamba-demo doctor` tells."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from sasmamba.app.pose2d import MEDIAPIPE_MODEL, MOVENET
from sasmamba.app.pose2d.choices import DEFAULT_HRNET


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: ok or not, what was found, what to do. Optional parts may be missing without harm."""

    part: str
    ok: bool
    found: str
    remedy: str = ""
    optional: bool = False


def examine() -> list[Finding]:
    """Examines every part; a part that breaks meanwhile is reported, not raised."""
    parts: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("python", _python),
        ("torch", _torch),
        ("scan", _scan),
        ("2D", _pose2d),
        ("video", _video),
        ("weights", _weights),
    ]
    findings: list[Finding] = []
    for name, examine_part in parts:
        try:
            findings += examine_part()
        except Exception as error:
            findings.append(Finding(name, False, f"{type(error).__name__}: {error}", "reinstall sasmamba-demo"))
    return findings


def verdict(findings: list[Finding]) -> Finding:
    """What works now, and the one next step; ok: a video can be rendered, if need be after a model was fetched."""
    parts = {f.part: f for f in findings}
    works = {name for name, f in parts.items() if f.ok}
    broken = [f for f in findings if not f.ok and not f.optional]
    if broken:
        names = ", ".join(f.part for f in broken)
        return Finding("verdict", False, f"Not ready: {names}.", f"Next, for {broken[0].part}: {broken[0].remedy}")
    can_find = (("detector yolox", "YOLOX"), ("2D movenet", "MultiPose"), ("2D mediapipe", "MediaPipe"))
    finders = [name for part, name in can_find if part in works]
    if "2D hrnet" in works and finders:
        found = f"Ready: HRNet finds joints and {finders[0]} people."
    elif "2D movenet" in works:
        found = "Ready: MoveNet finds people and joints."
    elif "2D mediapipe" in works:
        found = "Ready: MediaPipe finds people and joints."
    else:
        fetch = f"Next: sasmamba-demo weights fetch {MOVENET}"
        if _offline():
            return Finding("verdict", False, "Not ready: no model that finds people, and fetching is off.", fetch)
        return Finding("verdict", True, "Ready, once a model that finds people is fetched; the first run does.", fetch)
    return Finding("verdict", True, found, "Next: sasmamba-demo VIDEO.mp4")


def _offline() -> bool:
    from sasmamba.app import weights

    return weights.default_store().offline


def _python() -> list[Finding]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [Finding("python", sys.version_info >= (3, 11), found, "" if sys.version_info >= (3, 11) else "use 3.11+")]


def _torch() -> list[Finding]:
    import torch

    gpu = torch.cuda.is_available()
    return [
        Finding("torch", True, f"{torch.__version__}, {torch.get_num_threads()} threads"),
        Finding(
            "GPU",
            gpu,
            torch.cuda.get_device_name() if gpu else "none that torch can use",
            "" if gpu else "not needed; to use one, install a torch built for its CUDA",
            optional=True,
        ),
    ]


def _scan() -> list[Finding]:
    import torch

    from sasmamba.models import kernels
    from sasmamba.models.scan import choose

    library, sentence = kernels.load()
    findings = [
        Finding(
            "native kernels",
            library is not None,
            sentence if library else "none",
            "" if library else sentence,
            optional=True,
        )
    ]
    try:
        chosen = {d: choose(torch.device(d), torch.float32) for d in ["cpu"] + ["cuda"] * torch.cuda.is_available()}
    except (ValueError, RuntimeError) as error:  # only the variable can ask for what is not there
        return [*findings, Finding("selective scan", False, str(error), "unset SASMAMBA_SCAN, or name another")]
    found = ", ".join(f"{device}: {name} ({why})" for device, (name, why) in chosen.items())
    return [*findings, Finding("selective scan", True, found)]


def _pose2d() -> list[Finding]:
    from sasmamba.app import weights
    from sasmamba.app.pose2d.detector_choice import YOLOX_WEIGHTS
    from sasmamba.app.pose2d.detectors import load_onnxruntime
    from sasmamba.app.pose2d.glsmamba_estimator import load_transformers
    from sasmamba.app.pose2d.landmarker import load_mediapipe
    from sasmamba.app.pose2d.mediapipe import MediaPipePose2D
    from sasmamba.app.pose2d.openmmlab import load_mmpose

    def mediapipe() -> str:
        found, _ = load_mediapipe()
        # Opening the model shows what loading does not.
        if (model := weights.locate(MEDIAPIPE_MODEL)) is not None:
            MediaPipePose2D(model).close()
        return f"MediaPipe {found.__version__}"

    def onnxruntime() -> str:
        return f"ONNX Runtime {load_onnxruntime().__version__}"

    def openmmlab() -> str:
        load_mmpose()
        return f"mmpose {version('mmpose')}"

    def glsmamba() -> str:
        load_transformers()
        return f"transformers {version('transformers')}; weights of your own"

    return [
        _with_weights(_tried("2D movenet", onnxruntime), MOVENET),
        _with_weights(_tried("2D mediapipe", mediapipe), MEDIAPIPE_MODEL),
        _with_weights(Finding("2D hrnet", True, "", optional=True), DEFAULT_HRNET),
        _with_weights(
            _tried("detector yolox", onnxruntime, optional=True),
            YOLOX_WEIGHTS["yolox"],
        ),
        _tried("2D openmmlab", openmmlab, optional=True),
        _tried("2D glsmamba", glsmamba, optional=True),
    ]


def _with_weights(part: Finding, name: str) -> Finding:
    """A part that works as far as packages go, with what is known of its weights: without them it finds nobody."""
    from sasmamba.app import weights

    if not part.ok:
        return part
    here = weights.locate(name) is not None
    found = ", ".join(filter(None, (part.found, "its weights are here" if here else "no weights")))
    remedy = "" if here else f"sasmamba-demo weights fetch {name}"
    return Finding(part.part, here, found, remedy, optional=part.optional or not here)


def _tried(part: str, what: Callable[[], str], *, optional: bool = False) -> Finding:
    """What a part says of itself; where it does not work, why and what to do."""
    from sasmamba.common.errors import UserError

    try:
        return Finding(part, True, what(), optional=optional)
    except UserError as error:
        return Finding(part, False, "not installed" if optional else "does not work", str(error), optional)


def _video() -> list[Finding]:
    import av

    codecs = {"H.264 encoder": ("libx264", "w"), "H.264 decoder": ("h264", "r"), "VP9 decoder": ("vp9", "r")}
    findings = []
    for part, (name, mode) in codecs.items():
        ok = name in av.codecs_available and av.Codec(name, mode) is not None  # type: ignore[arg-type]
        findings.append(Finding(part, ok, f"{name}, PyAV {av.__version__}", "" if ok else "pip install --upgrade av"))
    return findings


def _weights() -> list[Finding]:
    from sasmamba.app import weights

    findings = []
    for entry in weights.entries():
        status = weights.verify(entry.name)
        fetch = f"sasmamba-demo weights fetch {entry.name}"
        remedy = {"ok": "", "missing": f"fetched when first needed, or now: {fetch}", "damaged": fetch}[status.state]
        optional = status.state == "missing" and entry.packaged is None
        findings.append(Finding(f"weights {entry.name}", status.state == "ok", status.state, remedy, optional))
    return findings
