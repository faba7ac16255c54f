"""How often the encoder comes to the same bytes on a busy machine: `python benchmarks/encoder_bytes.py --runs 100`.

Thirty made pictures go through `Mp4Sink` again and again while other processes keep the cores busy. x264's code for
AVX-512 hands what a macroblock is worth on along its motion ("mb-tree") eight macroblocks at a time, and does not mask
what lies beyond a row: after the last row it reads memory of other use, and what that holds depends on the threads'
pace. So pictures whose width in macroblocks is no multiple of eight now and then get another last macroblock, a few
grey levels off. Without that code, or without the tree, or where rows are whole, all files are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.io import mp4

#: Width and what x264 is told besides.
CASES = ((854, ""), (854, "asm=avx2"), (854, "no-mbtree=1"), (896, ""))
HEIGHT, PICTURES = 240, 30
#: Between pictures, as drawing needs it: the encoder then waits for pictures, and its threads go at odd paces.
PAUSE_S = 0.003


def pictures(width: int) -> list[NDArray[np.uint8]]:
    """Soft colours that pan, faint noise, and a disc that falls along the right edge."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (HEIGHT // 8 + 4, width // 8 + 4 + PICTURES, 3), dtype=np.uint8)
    soft = cv2.GaussianBlur(cv2.resize(coarse, (width + 8 * PICTURES, HEIGHT)), (0, 0), 2)
    noise = 230 + rng.integers(0, 6, (HEIGHT, width, 3), dtype=np.uint8)
    made = []
    for i in range(PICTURES):
        picture = soft[:, 3 * i : 3 * i + width].copy()
        picture[:, width // 2 :] = np.roll(noise, i, axis=1)[:, width // 2 :]
        centre = (width - 10, HEIGHT * (i + 1) // PICTURES)
        made.append(cv2.circle(picture, centre, HEIGHT // 6, (20, 200, 30), -1, cv2.LINE_AA).astype(np.uint8))
    return made


def checksum(drawn: list[NDArray[np.uint8]], path: Path) -> str:
    """SHA-256 of the file that these pictures become."""
    with mp4.Mp4Sink(path, drawn[0].shape[1], HEIGHT, Fraction(30)) as sink:
        for i, picture in enumerate(drawn):
            sink.write(picture, Fraction(i, 30))
            time.sleep(PAUSE_S)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _spin() -> None:
    asked = multiprocessing.parent_process()
    while asked and asked.is_alive():
        sum(range(10**6))


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Other processes that never rest."""
    others = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(processes)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--busy", type=int, default=4, help="other processes that keep the cores busy")
    args = parser.parse_args()
    print("| width | besides | runs | files that are not as most |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, busy(args.busy):
        for width, besides in CASES:
            drawn = pictures(width)
            with patch.object(mp4, "X264_PARAMS", ":".join(filter(None, (mp4.X264_PARAMS, besides)))):
                files = Counter(checksum(drawn, Path(folder) / "out.mp4") for _ in range(args.runs))
            print(f"| {width} | {besides} | {args.runs} | {args.runs - max(files.values())} |", flush=True)


if __name__ == "__main__":
    main()
