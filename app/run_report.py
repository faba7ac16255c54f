"""What a run did: counts, times, files, and sentences about what was lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from sasmamba.app.motion.checks import CheckFinding
from sasmamba.app.pose2d.sides import SideRepair
from sasmamba.app.types import Cut


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did.

    Attributes:
        frames: analysed.
        detections: those of them in which the 2D stage ran (detection frames).
        written: frames in the render.
        upper: track ids of those whose legs are left out, see `body`.
        people: track ids and in how many detection frames each was seen.
        stage_ms: milliseconds per frame, see `Timings`.
        seconds: from the first frame to the last.
        startup_s: opening the video and loading models before that; the lifter goes on being loaded beside the work.
        files: what was written.
        model: the lifter's name.
        pose2d: the 2D stage's name.
        problems: sentences about losses.
        interrupted: Ctrl-C left something undone.
        side_repairs: stretches in which left and right were exchanged in the 2D and put right.
        cuts: where a new shot begins.
        camera: what the camera did, in words.
        upright: of each shot how its camera stood, and how sure that is, as `Placement.assumptions` has it.
        findings: what the self-checks found.
        cpu_s: CPU time of all threads in `seconds`.
    """

    frames: int
    detections: int
    written: int
    people: dict[int, int]
    stage_ms: dict[str, float]
    seconds: float
    startup_s: float
    files: list[str]
    model: str
    pose2d: str
    problems: list[str] = field(default_factory=list)
    interrupted: bool = False
    side_repairs: list[SideRepair] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    camera: str = ""
    upright: list[dict[str, float]] = field(default_factory=list)
    findings: list[CheckFinding] = field(default_factory=list)
    cpu_s: float = 0.0
    upper: list[int] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames per second of the whole chain, start-up excluded."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def plain(self) -> dict[str, Any]:
        """All of it, `fps` too, in values that JSON knows."""
        cuts = [asdict(cut) | {"time_s": float(cut.time_s)} for cut in self.cuts]
        found = [finding.plain() for finding in self.findings]
        return asdict(self) | {"fps": self.fps, "cuts": cuts, "findings": found}
