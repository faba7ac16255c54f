"""A hundred damaged files of each kind: read or refused in a sentence, soon, in little memory, nothing half-written.

`python tests/fuzz/campaign.py --seed N` tries thousands; what it found stands in the tests of what was mended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from campaign import LONGEST_S, MOST_MB, campaign

pytestmark = pytest.mark.skipif(os.name == "nt", reason="memory is told in another way there")


@pytest.mark.parametrize("kind", ["videos", "keypoints", "weights", "takes"])
def test_a_hundred(kind: str) -> None:
    outcome = campaign(kind, 100, seed=2026)
    assert outcome.findings == []
    assert outcome.counts["read"] + outcome.counts["refused"] == 100
    assert min(outcome.counts["read"], outcome.counts["refused"]) >= 3  # they are neither untouched nor all noise
    assert 0 < outcome.peak_mb < MOST_MB
    assert outcome.longest_s < LONGEST_S


@pytest.mark.parametrize(
    ("bug", "finding"),
    [
        ("raise KeyError('a bug')", "traceback"),
        ("__import__('os')._exit(3)", "crash"),
        ("(path.parent / '.r.0123abcd.part.mp4').touch()", "half a file"),
        ("raise UserError('two\\nlines')", "no sentence"),
    ],
)
def test_a_bug_would_be_found(bug: str, finding: str, tmp_path: Path) -> None:
    """The processes of a campaign take what they try from `targets`, here another one."""
    own = Path(__file__).parent
    (tmp_path / "targets.py").write_text(
        "from sasmamba.common.errors import UserError\n"
        f"def fails(path):\n    {bug}\n    return ''\n"
        "TARGETS = dict.fromkeys(('videos', 'keypoints', 'weights', 'takes'), fails)\n"
    )
    for name in ("campaign.py", "mutations.py", "seeds.py"):
        (tmp_path / name).write_text((own / name).read_text().replace("parents[1]", "parent"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(own.parent), os.environ.get("PYTHONPATH", "")])}
    command = [
        sys.executable,
        tmp_path / "campaign.py",
        "--videos",
        "0",
        "--keypoints",
        "2",
        "--weights",
        "0",
        "--takes",
        "0",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"--- {finding}: keypoints 0" in done.stdout
