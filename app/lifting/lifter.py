"""A trained lifter: windows of 2D poses to windows of 3D poses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

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

_log = logging.getLogger(__name__)


class Lifter:
    """A trained lifter: windows of 2D poses to windows of 3D poses.

    Args:
        model: a model in evaluation mode, on its device.
        name: where its weights came from, for the record.
        flip: average with the result for the mirrored input: a little more accurate, at twice the cost, which is
            nothing beside the 2D stage's.
        refine: fit the result to the 2D, see `models.refining`.
        threads: CPU threads for one window. One is best in the pipeline: decoding and the 2D stage want the other
            cores, and threads that wait for each other on busy cores cost more than they save.
    """

    def __init__(self, model: SasMamba, name: str, flip: bool = True, threads: int = 1, *, refine: bool = True) -> None:
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

    @torch.inference_mode()
    def __call__(self, xyc: FloatArray) -> FloatArray:
        """Lifts one window: (T, 17, 3) H36M-17 x px, y px, score, T ≤ `frames`, to (T, 17, 3) metres.

        A score of 0 or anything that is not a number marks a joint that was not found. The result is relative to the
        pelvis, in the axes of a camera that looks straight at the person: x right, y down, z forward. It does not
        depend on where in the picture or how large the person was.

        Raises:
            ValueError: another shape.
        """
        if xyc.ndim != 3 or xyc.shape[1:] != (17, 3) or not 1 <= len(xyc) <= self.frames:
            raise ValueError(f"window: want (1..{self.frames}, 17, 3), got {xyc.shape}")
        with _torch_threads(self.threads):
            window = torch.from_numpy(mask_missing(xyc))[None].to(self.device)
            return lift_windows(self.model, window, flip=self.flip, refined=self.refine)[0].numpy()


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
