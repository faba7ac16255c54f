"""Draws the stages of docs/how.md, docs/pictures/stage_NAME.svg, narrow enough for a phone.

    python tools/stage_drawings.py

What is in one row goes on together into the next. Every module that a box names must exist.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
WIDTH, BOX, GAP, EDGE = 420, 54, 26, 6
#: A box: its words, a line below them, and the file or folder that does it ("" for data).
Box = tuple[str, str, str]
#: A line is a row. Boxes stand between ` | `, and between ` || ` where each goes on by itself: the words, after a colon
#: a line below them, after @ the module that does it; a box without one is data.
STAGES = {
    "whole": """
        video @ app/io/film.py
        2D stage: who is where, pixels @ app/pose2d | cuts, camera: shots, turns, zoom @ app/io/shot_cuts.py
        tracker, sides: who is the same, left and right @ app/tracking.py
        lifter: 3D, by windows @ app/lifting
        refine, smooth: bones, jitter @ models/refining.py
        place: floor, gravity, feet @ app/motion/placing.py
        render: the picture @ app/render | files, page: motion @ app/export | live: window, data @ app/live
    """,
    "reading": """
        file
        longest, largest stream @ app/io/containers.py
        upright: rotation, EXIF @ app/io/upright.py | 8 bits, BT.709: HDR, transparency @ app/io/video_file.py
        frames with times of their own
    """,
    "cuts": """
        frame, and the one before
        unexplained change: by no motion @ app/io/picture_change.py | corners: of what stands still @ BACKGROUND
        cut, fade, gap @ app/io/fades.py || rotation, zoom: of each frame @ app/motion/turn_fit.py
        a new shot || still, rotating, moving @ app/motion/camera_decision.py
    """.replace("BACKGROUND", "app/motion/background_motion.py"),
    "pose2d": """
        picture
        finder: boxes, every 0.3 s @ app/pose2d/topdown.py
        joints of each person: in a crop of the picture @ app/pose2d
        17 joints, pixels | scores
    """,
    "tracker": """
        boxes and joints over time
        motion, then clothes: through crossings, two seconds away @ app/tracking.py
        numbers that last
        left and right: over the whole life of a number @ app/pose2d/sides.py
    """,
    "lifter": """
        x, y, score of 17 joints
        relative to pelvis and size @ models/normalise.py
        243 frames: windows overlap @ app/lifting | and mirrored: the mean @ app/lifting
        SasMamba: along joints, along time @ models/sasmamba.py
        243 × 17 × (x, y, z) metres
    """,
    "refine": """
        all windows of a person | where joints were seen
        one length for every bone @ models/refining.py
        joints towards the 2D @ models/kernels/refine.cpp
        what is known: seen, inferred @ app/motion/certainty.py | smooth: jitter @ app/motion/smoothing.py
    """,
    "place": """
        poses, 2D | camera: field of view @ app/motion/camera.py
        pelvis in space @ app/motion/locating.py
        which way is up: bodies, floor, edges, habit @ app/motion/gravity.py
        planted feet held @ app/motion/foot_lock.py | flights fall with g @ app/motion/placing.py
        one floor, metres, z up
    """,
}
STYLE = """<style>
.box{fill:#eef2f7;stroke:#5b7083}.data{fill:none;stroke:#9aa7b4;stroke-dasharray:4 4}.go{stroke:#5b7083;fill:none}
text{fill:#24292f;font:600 14px system-ui,sans-serif}.more{font:13px system-ui,sans-serif;fill:#4d5a66}
.card{fill:#fff}@media(prefers-color-scheme:dark){.card{fill:#1e2129}.box{fill:#2b3340;stroke:#8fa3b8}
.data{stroke:#66727f}.go{stroke:#8fa3b8}text{fill:#e6e9ee}.more{fill:#b5bec8}}
</style>"""


def rows_of(text: str) -> list[list[Box]]:
    """The boxes of a stage's text."""
    rows = []
    for line in text.strip().splitlines():
        row = []
        for box in line.replace("||", "|").split("|"):
            words, _, module = (part.strip() for part in box.partition("@"))
            row.append((words.partition(":")[0], words.partition(":")[2].strip(), module))
        rows.append(row)
    return rows


def svg(text: str) -> str:
    """One drawing."""
    rows = rows_of(text)
    alone = ["||" in line for line in text.strip().splitlines()]
    height = len(rows) * BOX + (len(rows) - 1) * GAP + 2 * EDGE
    parts = [STYLE, f'<rect class="card" width="{WIDTH}" height="{height}" rx="8"/>']
    middles: list[list[float]] = []
    for r, row in enumerate(rows):
        wide = (WIDTH - 2 * EDGE - 12 * (len(row) - 1)) / len(row)
        top = EDGE + r * (BOX + GAP)
        middles.append([EDGE + i * (wide + 12) + wide / 2 for i in range(len(row))])
        for x, (words, more, module) in zip(middles[-1], row, strict=True):
            kind = "box" if module else "data"
            place = f'x="{x - wide / 2:.1f}" y="{top}" width="{wide:.1f}" height="{BOX}"'
            parts.append(f'<rect class="{kind}" {place} rx="6" stroke-width="1.5"/>')
            line = top + (22 if more else 32)
            parts.append(f'<text x="{x:.1f}" y="{line}" text-anchor="middle">{escape(words)}</text>')
            if more:
                parts.append(
                    f'<text class="more" x="{x:.1f}" y="{line + 19}" text-anchor="middle">{escape(more)}</text>'
                )
    for r in range(len(rows) - 1):
        begin, end = EDGE + r * (BOX + GAP) + BOX, EDGE + (r + 1) * (BOX + GAP)
        half = (begin + end) / 2
        here, there = middles[r], middles[r + 1]
        straight = here == there and (alone[r + 1] or len(here) == 1)
        if not straight:
            across = sorted([*here, *there])
            parts.append(f'<path class="go" stroke-width="1.5" d="M{across[0]:.1f} {half}H{across[-1]:.1f}"/>')
        for x in here:
            parts.append(f'<path class="go" stroke-width="1.5" d="M{x:.1f} {begin}V{end - 1 if straight else half}"/>')
        for x in there:
            head = f"M{x - 4:.1f} {end - 6}L{x:.1f} {end - 1}L{x + 4:.1f} {end - 6}"
            parts.append(f'<path class="go" stroke-width="1.5" d="M{x:.1f} {half}V{end - 1}{head}"/>')
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', *parts, "</svg>\n"])


def written() -> dict[Path, str]:
    """Every file, and what belongs in it."""
    files = {}
    for name, text in STAGES.items():
        rows = rows_of(text)
        missing = [box[2] for row in rows for box in row if not (ROOT / box[2]).exists()]
        if missing:
            raise SystemExit(f"{name}: there is no {missing[0]}")
        files[ROOT / f"docs/pictures/stage_{name}.svg"] = svg(text)
    return files


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text)
