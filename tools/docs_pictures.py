"""Pictures of the guides, from files that the product has written: no drawing is made by hand.

    sasmamba-demo video.mp4 --export html,angles,trc --markers opensim --save-poses poses.npz
    sasmamba-demo lift poses.npz bare.npz --no-flip --no-refine --no-smooth
    sasmamba-demo lift poses.npz whole.npz
    python examples/opensim_ik.py video_3d_1.trc --out ik.mot
    python tools/docs_pictures.py FOLDER --person 1

FOLDER holds these files and video.mp4. Writes docs/pictures/{page,live,knees,bones}.webp; a picture whose files are not
there is left out and named. The page and the live page are taken in chromium. The animator's picture is made by
tools/blender_picture.py, the robot's by examples/robot_retarget.py.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from helpers_browser import Browser, browser  # noqa: E402
from helpers_http import free_port  # noqa: E402

mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

OUT = ROOT / "docs/pictures"
LEFT, RIGHT = "#2f7fe0", "#e07b28"


def save(name: str, picture: np.ndarray) -> None:
    """Writes a BGR picture, at most 60 kB."""
    for quality in (85, 75, 65, 50):
        cv2.imwrite(str(OUT / f"{name}.webp"), picture, [cv2.IMWRITE_WEBP_QUALITY, quality])
        if (OUT / f"{name}.webp").stat().st_size <= 60_000:
            return
    raise SystemExit(f"{name}.webp is larger than 60 kB")


def plotted(name: str, draw: Callable[[plt.Axes], None]) -> None:
    """One chart of the guides' size."""
    figure, axes = plt.subplots(figsize=(8, 3), dpi=110, layout="constrained")
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("time, s")
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    figure.canvas.draw()
    save(name, cv2.cvtColor(np.asarray(figure.canvas.buffer_rgba()), cv2.COLOR_RGBA2BGR))


def wait_for(window: Browser, url: str, script: str, seconds: float) -> None:
    """Opens an address, and waits until a script says that it is drawn."""
    window.call("/url", {"url": url})
    window.until(script, seconds)


def page(folder: Path, person: int) -> None:
    """The page of --export html, with somebody's angles below."""
    with browser(1180, 1500) as window:
        wait_for(window, (folder / "video_3d.html").resolve().as_uri(), "return document.querySelector('canvas')", 20)
        window.run("const film = document.querySelector('video'); film.currentTime = film.duration / 2")
        time.sleep(3)
        shown = window.picture()
    save("page", cv2.resize(shown, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA))


def live(folder: Path, person: int) -> None:
    """The live page while the video plays as a camera would."""
    port = free_port()
    command = [sys.executable, "-m", "sasmamba.app.cli.main", "live", str(folder / "video.mp4")]
    command += ["--ws", str(port), "--no-window", "--quiet"]
    with subprocess.Popen(command) as playing, browser(1100, 620) as window:
        try:
            for _ in range(240):
                try:
                    wait_for(window, f"http://127.0.0.1:{port}/", "return document.querySelector('#people button')", 60)
                    break
                except (OSError, AssertionError):
                    time.sleep(0.25)
            time.sleep(8)  # until several frames are through
            # rate and delay are of the machine that makes the picture, beside a browser that draws without a GPU
            window.run("document.getElementById('status').style.visibility = 'hidden'")
            save("live", window.picture())
        finally:
            playing.terminate()


def knees(folder: Path, person: int) -> None:
    """Knee flexion as the table of angles has it, and as OpenSim finds it from the markers."""
    with (folder / "video_3d_angles.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["person"] == str(person) and row["joint"] == "knee"]
    heads, *body = (folder / "ik.mot").read_text().partition("endheader\n")[2].splitlines()
    columns, table = heads.split("\t"), np.array([line.split("\t") for line in body], float)

    def draw(axes: plt.Axes) -> None:
        for side, colour in (("left", LEFT), ("right", RIGHT)):
            mine = [(float(r["time_s"]), float(r["degrees"])) for r in rows if r["side"] == side]
            axes.plot(*zip(*mine, strict=True), color=colour, label=f"{side} knee")
            bent = np.degrees(-table[:, columns.index(f"knee_{side[0]}_coord_0")])
            axes.plot(table[:, 0], bent, "--", color="black", lw=1, label=f"{side}, OpenSim")
        axes.set_ylabel("flexion, degrees")

    plotted("knees", draw)


def bones(folder: Path, person: int) -> None:
    """A forearm's length, by the network alone and refined."""
    numbers = np.load(folder / "poses.npz")["track_id"].tolist()

    def draw(axes: plt.Axes) -> None:
        for name, told, colour in (("bare", "the network alone", RIGHT), ("whole", "refined and smoothed", LEFT)):
            found = np.load(folder / f"{name}.npz")
            joints = found["joints3d"][numbers.index(person)]
            length = 100 * np.linalg.norm(joints[:, 13] - joints[:, 12], axis=-1)  # left wrist, left elbow
            axes.plot(np.arange(len(length)) / float(found["fps"]), length, color=colour, label=told)
        axes.set_ylabel("left forearm, cm")

    plotted("bones", draw)


def main() -> None:
    """Makes what the command line's folder has the files for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--person", type=int, default=1, help="whose curves")
    parser.add_argument("--only", choices=["page", "live", "knees", "bones"])
    arguments = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    for make in (page, live, knees, bones):
        if arguments.only not in (None, make.__name__):
            continue
        try:
            make(arguments.folder, arguments.person)
            print(f"{OUT / make.__name__}.webp")
        except FileNotFoundError as missing:
            print(f"{make.__name__}.webp is left out: there is no {missing.filename}")


if __name__ == "__main__":
    main()
