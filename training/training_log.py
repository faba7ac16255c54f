"""What a run tells: a row of figures per validation in metrics.csv, the same in TensorBoard, pictures at the end."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path, disk_errors_explained
from sasmamba.models.skeletons import H36M


class TrainingLog:
    """Writes figures as they come; a resumed run goes on in the same files.

    Args:
        folder: of the run; metrics.csv and, where TensorBoard is installed, its event files go there.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.csv"
        self.rows: list[dict[str, float]] = _read(self.path)
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:  # an extra: pip install 'sasmamba-demo[train]'
            return
        self._board = SummaryWriter(str(folder / "tensorboard"))  # type: ignore[no-untyped-call]

    def add(self, figures: dict[str, float]) -> None:
        """One validation."""
        # a kill after a validation and before its checkpoint leaves rows that the resumed run writes again
        self.rows = [r for r in self.rows if r["step"] < figures["step"]] + [figures]
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with atomic_path(self.path) as partial, disk_errors_explained(self.path, partial):  # noqa: SIM117
            with partial.open("w", newline="") as out:
                writer = csv.DictWriter(out, names)
                writer.writeheader()
                writer.writerows({k: _cell(v) for k, v in row.items()} for row in self.rows)
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name.replace(" ", "/", 1), value, int(figures["step"]))
            self._board.flush()

    def close(self) -> None:
        """Ends the event file."""
        if self._board is not None:
            self._board.close()


def _cell(value: float) -> str:
    """Counts in full, since a resumed run compares them; measurements to six digits."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"


def _read(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(newline="") as rows:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(rows)]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not the record of a run; move it away or choose another --out.") from error


def draw_curves(rows: list[dict[str, float]], path: Path, title: str = "") -> None:
    """Training and validation errors over the minutes of the run, as a PNG."""
    figure, axes = _figure(8, 4.5)
    for name, label, style in (
        ("train", "training, corrupted 2D (averaged)", "0.6"),
        ("true P1", "validation, true 2D: P1", "tab:green"),
        ("true P2", "P2", "tab:olive"),
        ("noisy P1", "validation, noisy 2D: P1", "tab:red"),
        ("noisy P2", "P2", "tab:orange"),
    ):
        points = [(r["minutes"], r[name]) for r in rows if name in r]
        if points:
            axes.plot(*zip(*points, strict=True), color=style, label=label, marker="o", markersize=3)
    axes.set(xlabel="minutes of training", ylabel="error, mm", title=title)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if axes.has_data():
        axes.legend()
    _save(figure, path)


def draw_joints(errors: dict[str, Any], path: Path, title: str = "") -> None:
    """Error of each joint as bars; `errors` names kinds of input and gives (17,) mm each."""
    figure, axes = _figure(9, 4.5)
    width = 0.8 / max(1, len(errors))
    for i, (kind, values) in enumerate(errors.items()):
        axes.bar(np.arange(16) + (i - (len(errors) - 1) / 2) * width, np.asarray(values)[1:], width, label=kind)
    names = [j.name.lower().replace("_", " ") for j in H36M][1:]
    axes.set_xticks(range(16), names, rotation=45, ha="right")
    axes.set(ylabel="P1, mm", title=title)
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    _save(figure, path)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    # not pyplot: it would pick a window system
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots()


def _save(figure: Any, path: Path) -> None:
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=120)
