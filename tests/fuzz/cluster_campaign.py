"""A Ray cluster that loses a node again and again: `python tests/fuzz/cluster_campaign.py --seed 1`.

A head and three nodes on this machine do a folder of clips, which are copied as in folder_campaign.py; now and then a
node that the seed chooses is killed, without a word, and a new one joins. At the end no clip may be lost, done again
after it was done, or hold another's text. Exit code 1 if one does.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from folder_campaign import Outcome, done, examine
from helpers_executor import copy_clip

from sasmamba.app.batch import run_batch as batch_run
from sasmamba.app.batch.ray_client import RayExecutor
from sasmamba.app.batch.run_batch import run_batch
from sasmamba.app.config import Settings

#: A node that vanishes is missed after a second or so, as the head is told here.
QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 2,
}


def campaign(work: Path, clips: int, every_s: float, seed: int, seconds: float = 0.5) -> Outcome:
    """Has a folder done while a node is killed every so many seconds; `Outcome.killed` tells how many were."""
    from ray.cluster_utils import Cluster

    dice, outcome = random.Random(seed), Outcome(starts=1)
    folder, out = work / "clips", work / "out"
    folder.mkdir()
    words = {f"{i:04d}.mp4": f"{seconds + i * 1e-7:.7f}" for i in range(clips)}
    for name, word in words.items():
        (folder / name).write_text(word)
    seen: dict[str, int] = {}

    def look() -> None:
        for name, when in done(out).items():
            if seen.setdefault(name, when) != when:
                outcome.redone.append(name)

    def strike(cluster: Any, nodes: list[Any], last: list[float]) -> None:
        """Whenever the batch tells something and it is time: Ray adds nodes in the main thread only."""
        if time.monotonic() - last[0] < every_s or len(done(out)) >= clips - 1:
            return
        node = nodes.pop(dice.randrange(len(nodes)))
        threading.Thread(target=cluster.remove_node, args=(node, False)).start()
        outcome.killed += 1
        look()
        nodes.append(cluster.add_node(num_cpus=1))
        last[0] = time.monotonic()

    with patch.dict(
        os.environ, PYTHONPATH=os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    ):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": QUICK})
        try:
            nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
            last = [time.monotonic()]
            copying = lambda jobs, address, *_: RayExecutor(address, jobs, do=copy_clip)  # noqa: E731
            with patch.object(batch_run, "_open_executor", copying):
                report = run_batch(
                    folder,
                    out,
                    Settings(pose2d="mediapipe"),
                    cluster=cluster.address,
                    watch=lambda *_: strike(cluster, nodes, last),
                )
        finally:
            cluster.shutdown()
    states = Counter(ended.state for ended in report.clips)
    outcome.code = 0 if states == {"done": clips} and not report.stopped else 1
    outcome.err = "" if outcome.code == 0 else f"{dict(states)} {report.stopped} {report.problems}"
    look()
    examine(out, words, outcome)
    return outcome


def main() -> int:
    """Prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--every", type=float, default=60.0, help="seconds from one blow to the next")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        told = campaign(Path(work), args.clips, args.every, args.seed)
    print(
        f"{args.clips} clips, three nodes, seed {args.seed}: {told.killed} nodes killed; {len(told.lost)} lost, "
        f"{len(told.redone)} redone, {len(told.mixed)} mixed, {len(told.other)} other files; "
        f"{time.monotonic() - begin:.0f} s"
    )
    if not told.good:
        print(told)
    return 0 if told.good else 1


if __name__ == "__main__":
    sys.exit(main())
