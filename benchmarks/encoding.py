"""What encoding costs and loses: settings of x264 at the same size of file, `python benchmarks/encoding.py [VIDEO]`.

Analyses and draws a clip once (the demo clip if none is given), encodes the pictures with each setting at several
rate factors (CRF), and interpolates to the size of file that the first setting has at the one of `Mp4Sink`: CPU and
wall seconds, as ratios to the first setting's, and SSIM (FFmpeg's filter, all planes) against the pictures before
encoding. All settings take turns within one run, for another program may be busy beside it.

SSIM: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from sasmamba.app.io.mp4 import CRF, PRESET, X264_PARAMS, yuv420p
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.motion.placing import place
from sasmamba.app.pipeline import analyse
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.render.renderer import Renderer
from sasmamba.app.render.scene import Scene
from sasmamba.app.weights import ensure
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings

#: Name, threading, preset, and what differs from it (x264's own names). The first is what the others are compared with.
SETTINGS: tuple[tuple[str, str, str, str], ...] = (
    ("veryfast, slices", "SLICE", "veryfast", ""),
    ("veryfast", "FRAME", "veryfast", ""),
    ("what Mp4Sink uses", "FRAME", PRESET, X264_PARAMS),
    ("the same, twice the look-ahead", "FRAME", PRESET, f"{X264_PARAMS}:rc-lookahead=20"),
    ("superfast, macroblock tree", "FRAME", "superfast", "rc-lookahead=20:mbtree=1:b-adapt=0:aq-mode=2"),
    ("superfast", "FRAME", "superfast", ""),
    ("ultrafast", "FRAME", "ultrafast", ""),
)
RATE_FACTORS = (18.0, CRF, 22.0)


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoding: size in bytes, CPU and wall time in seconds, SSIM 0..1: the mean, and that of the worst 5 %."""

    size: int
    cpu_s: float
    wall_s: float
    ssim: float
    worst: float


def drawn(video: Path, frames: int) -> tuple[list[av.VideoFrame], Fraction]:
    """The pictures of a render as yuv420p, and their rate."""
    with VideoFile(video, max_frames=frames) as source, open_pose2d("auto", max_people=2) as pose2d:
        lifter = Lifter.load(detected=True)
        take = analyse(
            source,
            pose2d,
            lifter,
            every=1,
            max_people=2,
            timings=Timings(),
            stop=Stop(),
            progress=lambda stage, done, total: None,
        )
        placement = place(take, 60.0)
        paths = [np.stack(list(some.values())) for some in placement.roots.values() if some]
        renderer = Renderer(source.meta, scene=Scene.around(paths, placement.R_world_cam))
        pictures, reformatter = [], VideoReformatter()
        for frame in source:
            poses, roots = placement.at(frame.index)
            drawn_picture = renderer.draw(frame, take.people_at(frame.index), poses, None, roots)
            pictures.append(yuv420p(drawn_picture, reformatter))
        return pictures, source.meta.fps


def encode(pictures: list[av.VideoFrame], fps: Fraction, path: Path, setting: tuple[str, ...], crf: float) -> Encoding:
    _, threads, preset, params = setting
    options = {"crf": str(crf), "preset": preset} | ({"x264-params": params} if params else {})
    cpu, wall = time.process_time(), time.perf_counter()
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, "yuv420p"
        stream.thread_type = threads
        stream.codec_context.gop_size = round(2 * fps)
        for i, picture in enumerate(pictures):
            picture.pts, picture.time_base = i, 1 / fps
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    similar = ssim(pictures, path)
    worst = np.sort(similar)[: -(-len(similar) // 20)].mean()
    return Encoding(path.stat().st_size, cpu, wall, float(similar.mean()), float(worst))


def ssim(pictures: list[av.VideoFrame], path: Path) -> NDArray[np.float64]:
    """Structural similarity (N,) of all planes between pictures and a file of them."""
    log = path.with_suffix(".ssim")
    graph: Any = Graph()
    size = {"width": pictures[0].width, "height": pictures[0].height, "format": "yuv420p"}
    ours, theirs = (graph.add_buffer(**size, time_base=Fraction(1, 1000)) for _ in range(2))
    compare, sink = graph.add("ssim", f"stats_file={log}"), graph.add("buffersink")
    ours.link_to(compare, 0, 0)
    theirs.link_to(compare, 0, 1)
    compare.link_to(sink)
    graph.configure()
    with av.open(str(path)) as file:
        for i, (picture, coded) in enumerate(zip(pictures, file.decode(video=0), strict=True)):
            for buffer, frame in ((ours, picture), (theirs, coded)):
                frame.pts, frame.time_base = i, Fraction(1, 1000)
                buffer.push(frame)
            sink.pull()
    del graph, ours, theirs, compare, sink  # the filter writes its last lines when it goes
    values = [float(line.split("All:")[1].split()[0]) for line in log.read_text().splitlines()]
    assert len(values) == len(pictures), f"{len(values)} of {len(pictures)} pictures were compared"
    return np.array(values)


def at_size(encodings: list[Encoding], size: float) -> NDArray[np.float64]:
    """CPU seconds, wall seconds, SSIM and worst SSIM at a size of file: a parabola over its logarithm."""
    x = np.log([e.size for e in encodings])
    y = np.array([(e.cpu_s, e.wall_s, e.ssim, e.worst) for e in encodings])
    return np.array([np.polyval(np.polyfit(x, column, min(2, len(x) - 1)), np.log(size)) for column in y.T])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=120, help="2.4 MB of memory each")
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    pictures, fps = drawn(args.video or ensure("demo-clip"), args.frames)
    print(f"{len(pictures)} pictures of {pictures[0].width}×{pictures[0].height}")
    found: dict[str, list[Encoding]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "coded.mp4"
        for crf in RATE_FACTORS:
            for _ in range(args.repeats):
                for setting in SETTINGS:
                    found.setdefault(setting[0], []).append(encode(pictures, fps, path, setting, crf))
    best = {name: _least(encodings, args.repeats) for name, encodings in found.items()}
    first = best[SETTINGS[0][0]]
    size = first[RATE_FACTORS.index(CRF)].size
    base = at_size(first, size)
    print(f"{f'at {size / 1e3:.0f} kB':32}   CPU  wall  SSIM     worst 5 %  kB at CRF {CRF:g}")
    for name, encodings in best.items():
        cpu, wall, similar, worst = at_size(encodings, size)
        own = encodings[RATE_FACTORS.index(CRF)].size / 1e3
        print(f"{name:32} {cpu / base[0]:5.2f} {wall / base[1]:5.2f}  {similar:.5f}  {worst:.5f}  {own:6.0f}")


def _least(encodings: list[Encoding], repeats: int) -> list[Encoding]:
    """Of the repeats at each rate factor the least times: what another program took is in none of them."""
    groups = [encodings[i : i + repeats] for i in range(0, len(encodings), repeats)]
    return [
        Encoding(g[0].size, min(e.cpu_s for e in g), min(e.wall_s for e in g), g[0].ssim, g[0].worst) for g in groups
    ]


if __name__ == "__main__":
    main()
