"""A trained lifter: windows of 2D poses to windows of 3D poses."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch

from sasmamba.app.weights.lifters import DEFAULT_LIFTER, lifter_path
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models import kernels
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.lift import lift_windows
from sasmamba.models.normalise import mask_missing
from sasmamba.models.sasmamba import SasMamba
from sasmamba.models.scan import Backend, resolve
from sasmamba.models.tensorfile import CheckpointError

#: Windows of one length that share a pass where one thread lifts. Of several each takes one window at a time.
_TOGETHER = 4

_log = logging.getLogger(__name__)


class Lifter:
    """A trained lifter: windows of 2D poses to windows of 3D poses.

    Args:
        model: a model in evaluation mode, on its device.
        name: where its weights came from, for the record.
        flip: average with the result for the mirrored input: a little more accurate, at twice the cost, which is
            nothing beside the 2D stage's.
        refine: fit the result to the 2D, see `models.refining`.
        threads: windows that `many` lifts side by side on the CPU; None for as many as torch has threads. One window is
            always one thread's: threads that wait for each other within it cost more on busy cores than they save.
    """

    def __init__(
        self, model: SasMamba, name: str, flip: bool = True, threads: int | None = None, *, refine: bool = True
    ) -> None:
        self.model, self.name, self.flip, self.refine, self.threads = model, name, flip, refine, threads
        self.device = next(model.parameters()).device

    @classmethod
    def load(
        cls,
        name: str = DEFAULT_LIFTER,
        device: str = "cpu",
        flip: bool = True,
        backend: Backend = "auto",
        *,
        refine: bool = True,
    ) -> Lifter:
        """Loads a shipped lifter by name, its checksum verified, or a checkpoint by path (a name with a suffix).

        Raises:
            UserError: weights missing, altered or of another model, with what to do.
        """
        path = lifter_path(name)
        library, sentence = kernels.load()
        if library is None and device == "cpu":
            _log.warning("%s.", sentence)
        try:
            resolve(backend, torch.device(device), torch.float32)
        except (ValueError, RuntimeError) as error:  # the environment asks for what is not there
            raise UserError(f"No scan can run: {error}; `sasmamba-demo doctor` says what can.", exit_code=2) from error
        try:
            return cls(load_lifter(path, device, backend), path.stem, flip, refine=refine)
        except CheckpointError as error:
            raise UserError(
                f"The lifter's weights cannot be used: {error}. Name another file, or a lifter of `weights list`."
            ) from error

    @property
    def frames(self) -> int:
        """Frames of the longest window that it takes."""
        return self.model.config.frames

    def __call__(self, xyc: FloatArray) -> FloatArray:
        """Lifts one window: (T, 17, 3) H36M-17 x px, y px, score, T ≤ `frames`, to (T, 17, 3) metres.

        A score of 0 or anything that is not a number marks a joint that was not found. The result is relative to the
        pelvis, in the axes of a camera that looks straight at the person: x right, y down, z forward. It does not
        depend on where in the picture or how large the person was.

        Raises:
            ValueError: another shape.
        """
        return self._lift([xyc])[0]

    def many(self, windows: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Lifts windows of any lengths, each as if alone; what comes out is in their order.

        Raises:
            ValueError: a window of another shape.
        """
        threads = 1 if self.device.type != "cpu" else self.threads or torch.get_num_threads()
        passes = list(_alike(windows, _TOGETHER if threads == 1 else 1))
        if threads == 1 or len(passes) == 1:
            for some in passes:
                yield from self._lift(some)
            return
        pool = ThreadPoolExecutor(threads, "lifting")
        try:
            for lifted in pool.map(self._lift, passes):
                yield from lifted
        finally:
            pool.shutdown(cancel_futures=True)

    @torch.inference_mode()
    def _lift(self, windows: list[FloatArray]) -> FloatArray:
        """Lifts windows of one length in one pass, (B, T, 17, 3)."""
        for xyc in windows:
            if xyc.ndim != 3 or xyc.shape[1:] != (17, 3) or not 1 <= len(xyc) <= self.frames:
                raise ValueError(f"window: want (1..{self.frames}, 17, 3), got {xyc.shape}")
        with _one_torch_thread():
            batch = torch.from_numpy(mask_missing(np.stack(windows))).to(self.device)
            return lift_windows(self.model, batch, flip=self.flip, refined=self.refine).numpy()


def _alike(windows: Iterable[FloatArray], most: int) -> Iterator[list[FloatArray]]:
    """Neighbours of one length, `most` at most."""
    some: list[FloatArray] = []
    for window in windows:
        if some and (len(some) == most or some[0].shape != window.shape):
            yield some
            some = []
        some.append(window)
    if some:
        yield some


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
