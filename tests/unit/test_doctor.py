"""The doctor names every part, says how to mend what is missing, and survives parts that break."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers_cli import command
from rich.console import Console

from sasmamba.app.cli import examination
from sasmamba.app.cli.examination import Finding, examine, verdict
from sasmamba.models import kernels


def test_every_part_is_named_and_every_lack_has_a_remedy() -> None:
    findings = {f.part: f for f in examine()}
    expected = {
        "python",
        "torch",
        "GPU",
        "native kernels",
        "selective scan",
        "2D movenet",
        "2D mediapipe",
        "H.264 encoder",
        "H.264 decoder",
        "weights pose-landmarker-full",
        "weights sasmamba-lean",
        "weights sasmamba-lean-live",
    }
    assert expected <= set(findings)
    assert all(f.found for f in findings.values())
    assert all(f.ok or f.remedy for f in findings.values())
    assert not any(f.ok and f.remedy for f in findings.values())


def test_the_report_for_programs_says_the_same() -> None:
    result = command("doctor", "--json")
    report = json.loads(result.out)
    assert result.err == ""
    findings = examine()
    want = {f.part: {"ok": f.ok, "found": f.found, "remedy": f.remedy} for f in (*findings, verdict(findings))}
    assert report == want
    assert list(report)[-1] == "verdict"


@pytest.mark.parametrize(
    ("finding", "code", "mark"),
    [
        (Finding("part", True, "1.0"), 0, "ok"),
        (Finding("part", False, "none", "get [one]", optional=True), 0, "--"),
        (Finding("part", False, "none", "get [one]"), 1, "no"),
    ],
    ids=["there", "optional", "needed"],
)
def test_marks_and_exit_codes(finding: Finding, code: int, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "examine", lambda: [finding])
    result = command("doctor")
    assert result.code == code
    *_, before, last = result.out.splitlines()
    assert before.split() == [mark, "part", finding.found, *(["→", "get", "[one]"] if finding.remedy else [])]
    assert last == " ".join((verdict([finding]).found, verdict([finding]).remedy))


@pytest.mark.parametrize("error", [ImportError("no library"), ValueError("odd manifest"), OSError("gone")], ids=repr)
def test_a_part_that_breaks_is_reported(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Finding]:
        raise error

    monkeypatch.setattr(examination, "_video", broken)
    (video,) = (f for f in examine() if f.part == "video")
    assert not video.ok
    assert str(error) in video.found
    assert video.remedy


@pytest.mark.parametrize(
    ("broken", "part", "says"),
    [
        ("mediapipe.Image", "2D mediapipe", "install the system libraries libEGL"),
        ("sasmamba.models.kernels.ctypes.CDLL", "native kernels", "install g++ or clang"),
    ],
)
def test_a_library_that_does_not_load(broken: str, part: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is really loaded, and what to do about it is said once."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("lib.so: cannot open shared object file")

    monkeypatch.setattr(broken, refuse)
    monkeypatch.setattr(kernels, "load", kernels.load.__wrapped__)
    finding = next(f for f in examine() if f.part == part)
    assert not finding.ok
    assert says in finding.remedy
    assert f"{finding.found} {finding.remedy}".count("lib.so") == f"{finding.found} {finding.remedy}".count(says) == 1


def parts(**ok: bool) -> list[Finding]:
    """Findings of optional parts by name; `python` is needed."""
    return [
        Finding(name.replace("_", " ", 1), good, "x", "" if good else "get it", optional=name != "python")
        for name, good in ok.items()
    ]


FETCH = "Next: sasmamba-demo weights fetch movenet"


@pytest.mark.parametrize(
    ("found", "offline", "ok", "says"),
    [
        (
            {"2D_mediapipe": True},
            False,
            True,
            "Ready: MediaPipe finds people and joints. Next: sasmamba-demo VIDEO.mp4",
        ),
        (
            {"2D_mediapipe": True, "2D_movenet": True},
            False,
            True,
            "Ready: MoveNet finds people and joints. Next: sasmamba-demo VIDEO.mp4",
        ),
        (
            {"2D_movenet": True, "2D_hrnet": True},
            True,
            True,
            "Ready: HRNet finds joints and MultiPose people. Next: sasmamba-demo VIDEO.mp4",
        ),
        (
            {"2D_mediapipe": True, "2D_hrnet": True},
            False,
            True,
            "Ready: HRNet finds joints and MediaPipe people. Next: sasmamba-demo VIDEO.mp4",
        ),
        (
            {"2D_mediapipe": False, "2D_hrnet": True, "detector_yolox": True},
            True,
            True,
            "Ready: HRNet finds joints and YOLOX people. Next: sasmamba-demo VIDEO.mp4",
        ),
        (
            {"2D_mediapipe": False, "2D_hrnet": True, "detector_yolox": False},
            True,
            False,
            f"Not ready: no model that finds people, and fetching is off. {FETCH}",
        ),
        (
            {"2D_mediapipe": False},
            False,
            True,
            f"Ready, once a model that finds people is fetched; the first run does. {FETCH}",
        ),
        ({"2D_mediapipe": True, "python": False}, False, False, "Not ready: python. Next, for python: get it"),
    ],
    ids=[
        "mediapipe",
        "movenet",
        "hrnet with MultiPose",
        "hrnet",
        "hrnet alone",
        "hrnet without a detector",
        "nothing yet",
        "python",
    ],
)
def test_the_verdict(
    found: dict[str, bool], offline: bool, ok: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SASMAMBA_OFFLINE", str(int(offline)))
    last = verdict(parts(**found))
    assert (last.ok, f"{last.found} {last.remedy}") == (ok, says)


def test_without_weights_nothing_that_wants_them_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SASMAMBA_WEIGHTS", str(tmp_path))
    findings = {f.part: f for f in examine()}
    for part, name in (
        ("2D movenet", "movenet"),
        ("2D mediapipe", "pose-landmarker-full"),
        ("2D hrnet", "hrnet-w32"),
        ("detector yolox", "yolox-s"),
    ):
        finding = findings[part]
        assert (finding.ok, finding.optional) == (False, True), part
        assert finding.remedy == f"sasmamba-demo weights fetch {name}"
        assert finding.found.endswith("no weights")


@pytest.mark.parametrize("columns", ["40", "80", "300"])
def test_no_name_and_no_remedy_is_cut_off(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sasmamba.app import weights

    monkeypatch.setattr("sasmamba.app.cli.console.out", Console(width=int(columns)))
    listed = command("weights", "list").out
    assert {e.name for e in weights.entries()} <= set(listed.split())
    assert all(e.purpose in listed for e in weights.entries())
    assert "…" not in listed + command("doctor").out


def test_a_model_that_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.task").write_bytes(b"nothing of the kind")
    monkeypatch.setattr("sasmamba.app.weights.locate", lambda name: tmp_path / "bad.task")
    finding = next(f for f in examine() if f.part == "2D mediapipe")
    assert not finding.ok
    assert "cannot be opened as a pose landmarker" in finding.remedy


def test_missing_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SASMAMBA_WEIGHTS", str(tmp_path))
    missing = next(f for f in examine() if f.part == "weights pose-landmarker-full")
    assert (missing.ok, missing.optional) == (False, True)
    assert "sasmamba-demo weights fetch pose-landmarker-full" in missing.remedy
    (tmp_path / "pose_landmarker_full.task").write_bytes(b"altered")
    damaged = next(f for f in examine() if f.part == "weights pose-landmarker-full")
    assert (damaged.found, damaged.ok, damaged.optional) == ("damaged", False, False)


def test_the_scan_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> Finding:
        return next(f for f in examine() if f.part == "selective scan")

    monkeypatch.setattr("sasmamba.models.scan._WANTED", "parallel")
    assert "cpu: parallel (SASMAMBA_SCAN says so)" in found().found
    monkeypatch.setattr("sasmamba.models.scan._WANTED", "fast")
    assert (found().ok, found().optional) == (False, False)
    assert "got 'fast'" in found().found
    assert "unset SASMAMBA_SCAN" in found().remedy
