"""Joint angles as drawings: SVG that takes its colours from the page, so that it reads on light and on dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
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
    "filled": ("#0a0b0c", "var(--filled)"),
}


@dataclass(frozen=True, slots=True)
class Curves:
    """One person's angles over the whole clip, by the names of `Angle.series`.

    Attributes:
        time: (F,) seconds.
        angles: (F,) each, degrees, as `joint_angles` gives them; NaN where they are not known: blank.
        bands: (F,) each, half-widths of 95 % intervals, degrees; NaN where they are not known.
        inferred: (F,) bool each, where a joint of the angle was not seen: dashed.
        missing: (F,) bool, frames without a pose; shaded.
        filled: (F,) bool, frames without a sighting, with a pose from the frames around; shaded.
        until_s: right end of the time axis, which begins at 0.
        name: whose they are, for those who listen to the page instead of looking at it.
    """

    time: NDArray
    angles: dict[str, NDArray]
    bands: dict[str, NDArray]
    inferred: dict[str, NDArray]
    missing: NDArray
    filled: NDArray
    until_s: float
    name: str


def angle_plots(curves: Curves) -> dict[str, str]:
    """One SVG for each of `ANGLES`, by its name."""
    return {angle.name: _plot(angle, curves) for angle in ANGLES}


def _plot(angle: Angle, curves: Curves) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    time, name, until_s = curves.time, curves.name, curves.until_s
    # no pyplot: it keeps figures alive and wants a display
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"{name} {angle.name}", "font.size": 9}):
        figure = Figure(figsize=SIZE, facecolor="none")
        axes = figure.add_axes(BOX, facecolor="none")
        half = (time[1] - time[0]) / 2 if len(time) > 1 else until_s / 2
        for flags, paint in ((curves.missing, "gap"), (curves.filled, "filled")):
            # one path, for whoever flickers is unseen a thousand times; an artist, which leaves the axes' limits alone
            ends = [(time[begin] - half, time[end - 1] + half) for begin, end in shaded(flags)]
            boxes = [Path([(a, 0), (a, 1), (b, 1), (b, 0), (a, 0)], closed=True) for a, b in ends]
            if boxes:
                all_boxes, across = Path.make_compound_path(*boxes), axes.get_xaxis_transform()
                axes.add_artist(PathPatch(all_boxes, color=_PAINT[paint][0], linewidth=0, transform=across))
        told = []
        for series in angle.series:
            side = series.partition("_")[0] if angle.sides else "middle"
            color, values = _PAINT[side][0], curves.angles[series]
            kept = thinned(values)
            t, band = time[kept], curves.bands[series][kept]
            if np.isfinite(band).any():
                axes.fill_between(t, values[kept] - band, values[kept] + band, color=color, alpha=0.22, linewidth=0)
            guessed = curves.inferred[series][kept]
            for style, part in (("-", ~guessed), ((0, (3, 2)), _with_neighbours(guessed))):
                if part.any():
                    x, y = unwound(t, np.where(part, values[kept], np.nan))
                    axes.plot(x, y, color=color, linestyle=style, linewidth=1.6, marker=".", markevery=lone(y).tolist())
            told.append(_in_words(values, side if angle.sides else ""))
        if not any(np.isfinite(curves.angles[series]).any() for series in angle.series):
            axes.text(
                0.5, 0.55, "not in the picture: no angle", color=_PAINT["ink"][0], ha="center", transform=axes.transAxes
            )
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


def _with_neighbours(flags: NDArray) -> NDArray:
    """(F,) runs of True with the frame before and after, so that their line meets the others'."""
    wide = flags.copy()
    wide[1:] |= flags[:-1]
    wide[:-1] |= flags[1:]
    return wide


def thinned(values: NDArray) -> NDArray:
    """Indices of at most so many points of a curve (F,) as can be seen: of each stretch its lowest and highest, in
    their order.

    A stretch without a value is a gap.
    """
    bins = _MOST_POINTS // 2
    if len(values) <= _MOST_POINTS:
        return np.arange(len(values))
    keep = []
    for part in np.array_split(np.arange(len(values)), bins):
        known = part[np.isfinite(values[part])]
        keep += sorted((known[values[known].argmin()], known[values[known].argmax()])) if len(known) else [part[0]] * 2
    return np.array(keep)


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
    # a hundredth of a point is finer than any screen
    body = re.sub(r'(?<= (?:d|x|y)=")[^"]*', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), body)
    for color, name in _PAINT.values():
        body = body.replace(color, name)
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {view[0]} role="img" aria-label="{escape(label)}"'
    return f"{head}>{body}".strip()
