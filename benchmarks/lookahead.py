"""What a live run gains by waiting and by longer windows, and what they cost: `python benchmarks/lookahead.py`.

    python benchmarks/lookahead.py --data h36m_train.npz --cameras h36m_cameras.json --subject S8
    python benchmarks/lookahead.py --data deepmimic.npz cmu_more.npz --only spinkick 013_10 --subject "" \
        --bodies h36m_train.npz --cameras h36m_cameras.json

Every frame is lifted as live mode does it: a window that ends at the newest frame, fitted to the person's body as far
as it is known by then, the pose `lookahead` frames before it given out once, steadied by the one before. 2D is derived
from COCO points with a detector's measured noise. "offline" is what the same frames get when the whole clip is known,
not refined. Millimetres, and mm per frame and frame²; the cost is milliseconds of CPU time of one thread per person and
frame, the least of many. Of a lifter that says how sure it is: the per cent of errors within its 68 % and 95 %
intervals, across the line of sight and along it. The second command measures named clips, with the mean bones of
other people.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import time
from pathlib import Path

import numpy as np
import torch

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.offline import lift_sequence
from sasmamba.app.lifting.online import LiveLifting, live_window
from sasmamba.app.weights.lifters import DEFAULT_LIFTER, live_lifter
from sasmamba.training.cameras import rig_from
from sasmamba.training.evaluation import figures, windows
from sasmamba.training.motion import load_motion
from sasmamba.training.simulate import body_lengths, retargeted
from sasmamba.training.uncertainty import errors_of, shares

#: Frames before the first that is measured (a full window) and after the last (the longest look-ahead).
BEFORE, AFTER = 243, 121


def live(
    lifter: Lifter, xyc: np.ndarray, lookahead: int, window: int, measured: slice, fps: float, smooth: bool, fit: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Poses (F, 17, 3) of the frames in `measured` as live mode gives them out, and half-widths (F, 17, 2); else 0."""
    lifting = LiveLifting(lifter, lookahead=lookahead, window=window, fps=fps, smooth=smooth, fit=fit)
    out, widths = np.zeros((len(xyc), 17, 3), np.float32), np.zeros((len(xyc), 17, 2), np.float32)
    # of the windows before, some do, for the body, and the last, for the filter
    first = measured.start - 20
    for frame in range(measured.stop + lookahead):
        lifting.push_joints(frame, {1: xyc[frame]})
        if frame - lookahead >= first:
            lifting.lift()
            for pose in lifting.poses(frame - lookahead):
                out[pose.frame] = pose.joints
                if pose.half_width_m is not None:
                    widths[pose.frame] = pose.half_width_m
        elif frame % 20 == 0 and fit:
            lifting.lift()
    return out, widths


def cost_ms(lifter: Lifter, xyc: np.ndarray, window: int, fit: bool) -> float:
    """Milliseconds of CPU time that one more frame costs; not the fit of a body now and then."""
    lifting, times = LiveLifting(lifter, window=window, fit=fit), []
    for frame, row in enumerate(xyc[: window + 30]):
        lifting.push_joints(frame, {1: row})
        if frame == window - 1:
            lifting.lift()
        if frame >= window:
            begin = time.thread_time()
            lifting.lift()
            times.append(time.thread_time() - begin)
        lifting.poses(frame)
    return 1000 * min(times)


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="motion files")
    parser.add_argument("--cameras", type=Path, help="table of cameras; without it four ideal ones")
    parser.add_argument("--subject", default="S8", help='"": anybody')
    parser.add_argument("--only", nargs="+", default=["*"], help="patterns of names of clips")
    parser.add_argument("--bodies", type=Path, help="motion file whose people's mean bones replace those of the clips")
    parser.add_argument("--lifter", help="without it as live mode chooses, and offline runs do")
    parser.add_argument("--lookahead", default="0,2,5,15,30,60,121", help="frames, separated by commas")
    parser.add_argument("--window", help="frames, separated by commas; without it as live mode chooses")
    parser.add_argument("--frames", type=int, default=150, help="frames measured of each clip")
    parser.add_argument("--clips", type=int, default=10, help="clips, evenly chosen")
    parser.add_argument("--kind", default="noisy", help="true, coco, noisy or movenet: the 2D")
    parser.add_argument("--raw", action="store_true", help="without the 1-Euro filter")
    parser.add_argument(
        "--no-fit", action="store_true", help="poses as they are lifted, by nobody's body in particular"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    motion = load_motion(args.data)
    named = np.array([any(fnmatch.fnmatch(str(name), p) for p in args.only) for name in motion.name], bool)
    motion = motion.select(named & ((motion.subject == args.subject) | (args.subject == "")))
    chosen = np.zeros(motion.clips, bool)
    chosen[np.linspace(0, motion.clips - 1, min(args.clips, motion.clips)).round().astype(int)] = True
    motion = motion.select(chosen)
    if args.bodies:
        motion = retargeted(motion, body_lengths(load_motion([args.bodies])).mean(0))
    rig = rig_from(args.cameras)
    measured = slice(BEFORE, BEFORE + args.frames)
    w = windows(motion, rig, args.subject, measured.stop + AFTER, 1, args.kind)
    truth = w.part(measured)
    loaded: dict[str, Lifter] = {}

    def load(name: str) -> Lifter:
        """Neither mirrored nor refined, as in live mode."""
        name = args.lifter or name
        if name not in loaded:
            loaded[name] = Lifter.load(name, flip=False, refine=False)
        return loaded[name]

    def row(poses: list[np.ndarray]) -> dict[str, float]:
        f = figures(torch.from_numpy(np.stack(poses))[:, measured], truth)
        return {k: round(f[k], 2) for k in ("P1", "P2", "velocity", "acceleration")}

    results: dict[str, dict[str, float]] = {}
    clips = list(zip(w.xyc.numpy(), motion.fps.tolist(), strict=True))
    for lookahead in map(int, args.lookahead.split(",")):
        lifter = load(live_lifter(lookahead))
        chosen_windows = args.window.split(",") if args.window else [live_window(lifter.frames, lookahead)]
        for window in map(int, chosen_windows):
            near = min(lookahead, window - 2)
            poses, widths = zip(
                *(live(lifter, x, near, window, measured, fps, not args.raw, not args.no_fit) for x, fps in clips),
                strict=True,
            )
            found = row([*poses])
            if lifter.wide is not None:
                told = errors_of(*(torch.from_numpy(np.stack(a))[:, measured] for a in (poses, widths)), truth)
                found |= {name: round(share, 1) for name, share in shares(*told, lifter.wide).items()}
            found["cost"] = round(cost_ms(lifter, w.xyc[0].numpy(), window, not args.no_fit), 2)
            results[f"{lookahead}, {window}"] = {"lookahead": lookahead, "window": window} | found
            if not args.json:
                print(f"look-ahead {lookahead:4}  window {window:4}  {found}", flush=True)
    lifter = load(DEFAULT_LIFTER)
    results["offline"] = {"window": lifter.frames} | row([lift_sequence(lifter, x, fps=fps) for x, fps in clips])
    if args.json:
        print(json.dumps(results, indent=1))
    else:
        print(f"offline          window {lifter.frames:4}  {results['offline']}")


if __name__ == "__main__":
    main()
