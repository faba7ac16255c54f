"""Bodies drawn from a table of people: one size, everybody's proportions, sides a little unlike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M, H36M_MIRROR
from sasmamba.training import body_proportions
from sasmamba.training.body_proportions import SEGMENT_OF_JOINT, load_bodies

SEGMENTS = list(dict.fromkeys(SEGMENT_OF_JOINT[1:]))
#: Thighs of a man, a woman and a child, whose other segments are 0.2 m.
THIGHS = {"m": 0.5, "f": 0.4, "u": 0.25}


def write_people(path: Path, people: tuple[str, ...] = ("m", "f", "u"), **changed: np.ndarray) -> Path:
    lengths = np.full((len(people), len(SEGMENTS)), 0.2, np.float32)
    lengths[:, SEGMENTS.index("thigh")] = [THIGHS[p] for p in people]
    source = np.array(["children" if p == "u" else "survey" for p in people])
    table = {"lengths": lengths, "names": np.array(SEGMENTS), "sex": np.array(people), "source": source} | changed
    np.savez(path, **table)  # type: ignore[arg-type]
    return path


def thigh_of(lengths: torch.Tensor) -> torch.Tensor:
    """Thigh over shank: a proportion that size does not change."""
    return lengths[..., H36M.LEFT_KNEE] / lengths[..., H36M.LEFT_ANKLE]


def test_everybody_has_one_size_and_their_own_proportions(tmp_path: Path) -> None:
    people = load_bodies(write_people(tmp_path / "b.npz"), 3.9)
    torch.testing.assert_close(people.lengths.sum(1), torch.full((len(people.lengths),), 3.9))
    torch.testing.assert_close(thigh_of(people.lengths[:3]), torch.tensor([2.5, 2.0, 1.25]))
    assert (people.lengths[:, H36M.PELVIS] == 0).all()
    torch.testing.assert_close(people.lengths, people.lengths[:, list(H36M_MIRROR)])


def test_men_women_and_children_are_drawn_in_the_stated_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_proportions, "_UNCERTAIN", 0.0)
    monkeypatch.setattr(body_proportions, "_ASYMMETRY_M", 0.0)
    people = load_bodies(write_people(tmp_path / "b.npz", ("m", "m", "m", "f", "u")), 3.9)
    ratio = thigh_of(people.draw(20000, torch.Generator().manual_seed(0)))
    assert (ratio > 2.49).float().mean().item() == pytest.approx(0.44, abs=0.02)
    assert ((ratio > 1.99) & (ratio < 2.01)).float().mean().item() == pytest.approx(0.44, abs=0.03)
    between = (ratio > 1.26) & (ratio < 1.9)
    assert between.float().mean() > 0.04, "ages between the child and the adults"


def test_sides_differ_by_millimetres(tmp_path: Path) -> None:
    people = load_bodies(write_people(tmp_path / "b.npz"), 3.9)
    drawn = people.draw(20000, torch.Generator().manual_seed(0))
    unlike = (drawn - drawn[:, list(H36M_MIRROR)])[:, H36M.LEFT_KNEE]
    assert unlike.std().item() == pytest.approx(0.003, rel=0.05)
    assert (drawn[:, 1:] > 0).all()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"lengths": np.zeros((3, 10), np.float32)}, "not above 0"),
        ({"names": np.array([f"x{i}" for i in range(10)])}, "not a readable table"),
        ({"sex": np.array(["u"] * 3), "source": np.array(["survey"] * 3)}, "neither men nor women"),
    ],
)
def test_refuses_what_is_no_table_of_bodies(tmp_path: Path, changed: dict[str, np.ndarray], word: str) -> None:
    with pytest.raises(UserError, match=word):
        load_bodies(write_people(tmp_path / "b.npz", **changed), 3.9)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a readable table"):
        load_bodies(tmp_path / "none.npz", 3.9)


def test_the_measured_adults_resemble_those_of_human36m(shared: Path) -> None:
    """Independent of the table: mean lengths of the subjects whose motion is trained on, within 6 %."""
    from sasmamba.training.motion import load_motion
    from sasmamba.training.simulate import body_lengths

    subjects = body_lengths(load_motion([shared / "data/mocap/h36m_train.npz"])).mean(0)
    people = load_bodies(shared / "data/mocap/bodies.npz", float(subjects.sum()))
    adults = (people.chance[:, None] * people.lengths).sum(0)
    torch.testing.assert_close(adults[1:], subjects[1:], rtol=0.06, atol=0)
