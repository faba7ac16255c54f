"""Checks of a result: what is not to be, where it was found, and how that is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.runs import runs

#: Spans of a check that are closer than this are told as one; so many are told in a sentence at most.
_NEAR_S, _MOST_SPANS = 0.5, 3
#: What lasts for this share of a clip is found in one that is shorter than the check asks for, too.
_NEARLY_ALL = 0.8


@dataclass(frozen=True, slots=True)
class Rule:
    """What is not to be.

    Attributes:
        kind: a short name.
        threshold: what is measured is not to exceed it, or not to be less.
        at_least_s: shorter spans are let pass, unless they are nearly all of a clip.
        sentence: what was measured, for people; {value} and {threshold} stand for both.
        reason: why that threshold, and what may be the matter.
        least: the threshold is the least that is to be.
    """

    kind: str
    threshold: float
    at_least_s: float
    sentence: str
    reason: str
    least: bool = False

    def findings(self, who: int | None, time: NDArray, measured: NDArray) -> list[CheckFinding]:
        """The spans at times (F,) in which what was measured (F,), NaN where there is nothing to measure, is beyond
        the threshold; spans that are near are one."""
        worse, worst = (np.less, min) if self.least else (np.greater, max)
        out = list[CheckFinding]()
        at_least_s = min(self.at_least_s, _NEARLY_ALL * float(time[-1] - time[0])) if len(time) else 0.0
        for begin, end in runs(np.isfinite(measured) & worse(measured, self.threshold)):
            a, b, value = float(time[begin]), float(time[end - 1]), float(worst(measured[begin:end]))
            if b - a < at_least_s:
                continue
            if out and a - out[-1].to_s < _NEAR_S:
                last = out.pop()
                a, value = last.from_s, worst(last.value, value)
            out.append(self.finding(who, a, b, value))
        return out

    def finding(self, who: int | None, from_s: float, to_s: float, value: float) -> CheckFinding:
        """One that is found."""
        told = self.sentence.format(value=f"{value:.3g}", threshold=f"{self.threshold:g}")
        return CheckFinding(self.kind, who, from_s, to_s, value, self.threshold, told, self.reason)


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """What a check found.

    Attributes:
        kind: the check's name.
        person: track id of whom; None of the video.
        from_s: first time.
        to_s: last time.
        value: the worst that was measured.
        threshold: what it is beyond.
        told: what was measured, for people.
        reason: why that threshold, and what may be the matter.
    """

    kind: str
    person: int | None
    from_s: float
    to_s: float
    value: float
    threshold: float
    told: str
    reason: str

    @property
    def who(self) -> str:
        """Whom it is about, for people."""
        return "The video" if self.person is None else f"Person {self.person}"

    @property
    def when(self) -> str:
        """Its times, for people."""
        return f"{self.from_s:.1f}–{self.to_s:.1f} s"

    @property
    def sentence(self) -> str:
        """All of it, for people."""
        return f"{self.who} {self.told} ({self.when}): {self.reason}"

    def plain(self) -> dict[str, Any]:
        """In values that JSON knows."""
        value = {"from_s": round(self.from_s, 6), "to_s": round(self.to_s, 6), "value": round(self.value, 4)}
        return asdict(self) | value | {"sentence": self.sentence}


def grouped(findings: Iterable[CheckFinding]) -> list[list[CheckFinding]]:
    """Findings of one kind and person together, in order of their first."""
    groups: dict[tuple[str, int | None], list[CheckFinding]] = {}
    for finding in findings:
        groups.setdefault((finding.kind, finding.person), []).append(finding)
    return list(groups.values())


def sentences(findings: Iterable[CheckFinding]) -> list[str]:
    """One sentence for each kind and person: the worst that was found, and when."""
    out = []
    for group in grouped(findings):
        worst = max(group, key=lambda finding: abs(finding.value - finding.threshold))
        told = ", ".join(finding.when for finding in group[:_MOST_SPANS])
        more = f" and {len(group) - _MOST_SPANS} times more" if len(group) > _MOST_SPANS else ""
        out.append(f"{worst.who} {worst.told} ({told}{more}): {worst.reason}")
    return out
