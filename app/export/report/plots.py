"""Joint angles as drawings: SVG that takes its colours from the page, so that it reads on light and on dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from html import escape

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.runs import runs
from sasmamba.models.angles import ANGLES, Angle

#: Width and height in inches, and where the axes lie in it: left, bottom, width, height. The page lays its time line
#: over them.
SIZE, BOX = (5.4, 2.0), (0.1, 0.17, 0.88, 0.79)
#: More points than this in a curve are drawn as the lowest and highest of each stretch: a screen has no more columns.
_MOST_POINTS = 3000
#: Colours of the drawing, each with what the page calls it.
_PAINT = {
    "left": ("#ff9550", "var(--left)"),
    "right": ("#4fa3ff", "var(--right)"),
    "middle": ("#d5dae3", "var(--middle)"),
    "ink": ("#010203", "currentColor"),
    "grid": ("#040506", "var(--grid)"),
    "gap": ("#070809", "var(--gap)"),
    "carried": ("#0a0b0c", "var(--carried)"),
}


def angle_plots(
    time: NDArray, angles: dict[str, NDArray], missing: NDArray, carried: NDArray, until_s: float, name: str
) -> dict[str, str]:
    """One SVG for each of `ANGLES`, by its name.

    Args:
        time: (F,) seconds.
        angles: as `joint_angles` gives them, degrees.
        missing, carried: (F,) bool, frames without a pose and with one that was carried; shaded, and lines break where
            there is no angle.
        until_s: right end of the time axis, which begins at 0.
        name: whose they are, for those who listen to the page instead of looking at it.
    """
    return {angle.name: _plot(angle, time, angles, missing, carried, until_s, name) for angle in ANGLES}


def _plot(
    angle: Angle,
    time: NDArray,
    angles: dict[str, NDArray],
    missing: NDArray,
    carried: NDArray,
    until_s: float,
    name: str,
) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # no pyplot: it keeps figures alive and wants a display
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"{name} {angle.name}", "font.size": 9}):
        figure = Figure(figsize=SIZE, facecolor="none")
        axes = figure.add_axes(BOX, facecolor="none")
        half = (time[1] - time[0]) / 2 if len(time) > 1 else until_s / 2
        for flags, paint in ((missing, "gap"), (carried, "carried")):
            for begin, end in shaded(flags):
                axes.axvspan(time[begin] - half, time[end - 1] + half, color=_PAINT[paint][0], linewidth=0)
        told = []
        for series in angle.series:
            side = series.partition("_")[0] if angle.sides else "middle"
            t, values = unwound(*thinned(time, angles[series]))
            axes.plot(t, values, color=_PAINT[side][0], linewidth=1.6, marker=".", markevery=lone(values).tolist())
            told.append(_in_words(angles[series], side if angle.sides else ""))
        axes.set_xlim(0, until_s)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, -5), max(high, 5))
        axes.axhline(0, color=_PAINT["grid"][0], linewidth=0.8)
        axes.grid(color=_PAINT["grid"][0], linewidth=0.5)
        axes.tick_params(color=_PAINT["grid"][0], labelcolor=_PAINT["ink"][0])
        axes.yaxis.set_major_formatter("{x:.0f}°")
        axes.xaxis.set_major_formatter("{x:g} s")
        for spine in axes.spines.values():
            spine.set_color(_PAINT["grid"][0])
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inlined(out.getvalue(), f"{angle.label} of {name}: {'; '.join(told)}")


def thinned(time: NDArray, values: NDArray) -> tuple[NDArray, NDArray]:
    """A curve (F,) with at most so many points as can be seen: of each stretch its lowest and highest, in their order.

    A stretch without a value is a gap.
    """
    bins = _MOST_POINTS // 2
    if len(time) <= _MOST_POINTS:
        return time, values
    keep = []
    for part in np.array_split(np.arange(len(time)), bins):
        known = part[np.isfinite(values[part])]
        keep += sorted((known[values[known].argmin()], known[values[known].argmax()])) if len(known) else [part[0]] * 2
    return time[keep], values[keep]


def unwound(time: NDArray, values: NDArray) -> tuple[NDArray, NDArray]:
    """A curve (F,) of degrees that breaks where it passes from 180 to -180 or back: that is no leap."""
    after = np.flatnonzero(np.abs(np.diff(values)) > 180) + 1
    return np.insert(time, after, time[after]), np.insert(values, after, np.nan)


def lone(values: NDArray) -> NDArray:
    """Which of a curve's values (F,) have a gap on both sides: a line needs two, so those are dots."""
    known = np.concatenate([[False], np.isfinite(values), [False]])
    return np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])


def shaded(flags: NDArray) -> Iterable[tuple[int, int]]:
    """Where runs of True begin and end (exclusive) in (F,) bool; of many frames, runs of stretches that are half so."""
    starts = np.arange(len(flags) + 1)
    if len(flags) > _MOST_POINTS:
        starts = np.linspace(0, len(flags), _MOST_POINTS // 10 + 1).astype(int)
        flags = np.add.reduceat(flags, starts[:-1], dtype=int) * 2 > np.diff(starts)
    return [(int(a), int(b)) for a, b in starts[runs(flags)]]


def _in_words(values: NDArray, side: str) -> str:
    known = values[np.isfinite(values)]
    text = f"{known.min():.0f}° to {known.max():.0f}°" if len(known) else "unknown throughout"
    return f"{side} {text}".strip()


def _inlined(svg: str, label: str) -> str:
    """A drawing as part of a page: no prologue, no size of its own, no names that another drawing has too."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    head, body = svg.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None
    body = re.sub(r'<g id="[^"]*">', "<g>", body)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.S)  # it would style the whole page
    body = re.sub(r"font-family: [^;\"]*", "font-family: inherit", body)
    for color, name in _PAINT.values():
        body = body.replace(color, name)
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {view[0]} role="img" aria-label="{escape(label)}"'
    return f"{head}>{body}".strip()
