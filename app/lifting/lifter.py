"""A trained lifter: windows of 2D poses to windows of 3D poses."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

from sasmamba.app.weights.lifters import DEFAULT_LIFTER, lifter_path
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models import kernels
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.fitted_body import FittedBody
from sasmamba.models.fused import KeptFeatures
from sasmamba.models.lift import Features, lift
from sasmamba.models.normalise import mask_missing, normalise_window, upside_down
from sasmamba.models.refining import fit_body, refine
from sasmamba.models.sasmamba import SasMamba
from sasmamba.models.scan import Backend, resolve
from sasmamba.models.tensorfile import CheckpointError

#: Windows that tell a person's body at most: more take longer and tell little.
_BODY_WINDOWS = 24
#: Windows of one length that share a pass.
_TOGETHER = 4

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)


class Lifter:
    """A trained lifter: windows of 2D poses to windows of 3D poses.

    Args:
        model: a model in evaluation mode, on its device, whose weights do not change any more.
        name: where its weights came from, for the record.
        flip: average with the result for the mirrored input: a little more accurate, at twice the cost, which is
            nothing beside the 2D stage's.
        refine: fit the result to the 2D, see `models.refining`.
        threads: windows that `many` lifts side by side on the CPU; None for as many as torch has threads. One window is
            always one thread's: threads that wait for each other within it cost more on busy cores than they save.
        detected: whole sequences (`lift_people`, `LiveLifting`) are a detector's joints, which lie where people see
            them, see `models.landmarks`; their poses have them there, too. Windows are lifted as they are.
    """

    def __init__(
        self,
        model: SasMamba,
        name: str,
        flip: bool = True,
        threads: int | None = None,
        *,
        refine: bool = True,
        detected: bool = False,
    ) -> None:
        self.model, self.name, self.flip, self.refine, self.threads = model, name, flip, refine, threads
        self.detected = detected
        self.device = next(model.parameters()).device
        self._features: Features = KeptFeatures.of(model) or model.features

    @classmethod
    def load(
        cls,
        name: str = DEFAULT_LIFTER,
        device: str = "cpu",
        flip: bool = True,
        backend: Backend = "auto",
        *,
        refine: bool = True,
        threads: int | None = None,
        detected: bool = False,
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
            model = load_lifter(path, device, backend)
            return cls(model, path.stem, flip, threads, refine=refine, detected=detected)
        except CheckpointError as error:
            raise UserError(
                f"The lifter's weights cannot be used: {error}. Name another file, or a lifter of `weights list`."
            ) from error

    @property
    def frames(self) -> int:
        """Frames of the longest window that it takes."""
        return self.model.config.frames

    @property
    def unsure(self) -> bool:
        """Whether it can say how sure it is."""
        return self.model.config.uncertainty is not None

    @property
    def wide(self) -> tuple[float, float] | None:
        """`Calibration.wide` of a lifter that is `unsure`."""
        return None if self.model.config.uncertainty is None else self.model.config.uncertainty.wide

    def __call__(self, xyc: FloatArray) -> FloatArray:
        """Lifts one window: (T, 17, 3) H36M-17 x px, y px, score, T ≤ `frames`, to (T, 17, 3) metres.

        A score of 0 or anything that is not a number marks a joint that was not found. The result is relative to the
        pelvis, in the axes of a camera that looks straight at the person: x right, y down, z forward. It does not
        depend on where in the picture or how large the person was.

        Raises:
            ValueError: another shape.
        """
        return self._lift([xyc])[0][0]

    def many(
        self,
        windows: Iterable[FloatArray],
        *,
        later: bool = False,
        threads: int | None = None,
        newest: int | None = None,
    ) -> Generator[tuple[FloatArray, FloatArray | None], None, None]:
        """Lifts windows of any lengths, each as if alone; what comes out is in their order.

        Args:
            windows: each as `__call__` takes it.
            later: do not refine, `refined` will.
            threads: instead of the lifter's own.
            newest: answer for so many frames at the end of each window, or all that it has; None: for all.

        Returns:
            Of each window joints as `__call__` gives them, and how sure they are, or will be when they are refined:
            `half_width_m` (T, 17, 2) of `Pose3D`; None where the lifter is not `unsure`.

        Raises:
            ValueError: a window of another shape.
        """
        if self.device.type != "cpu":
            threads = 1
        threads = threads or self.threads or torch.get_num_threads()
        passes = list(_alike(windows, _TOGETHER if threads == 1 else 1))
        for lifted, widths in _side_by_side(functools.partial(self._lift, later=later, newest=newest), passes, threads):
            yield from zip(lifted, widths if widths is not None else [None] * len(lifted), strict=True)

    def refined(
        self, windows: Sequence[FloatArray], lifted: Sequence[FloatArray], person: Sequence[int]
    ) -> Iterator[FloatArray]:
        """Fits what `many` gave without refining to what it was shown, see `models.refining`.

        Args:
            windows: as `many` got them.
            lifted: what it made of them.
            person: whose each window is; all of a person's have one body, which `_BODY_WINDOWS` of them tell.
        """

        bodies = self.bodies(windows, lifted, person)
        yield from self.fitted(windows, lifted, [bodies[who] for who in person])

    def fitted(
        self, windows: Sequence[FloatArray], lifted: Sequence[FloatArray], bodies: Sequence[FittedBody | None]
    ) -> Iterator[FloatArray]:
        """`refined` of windows each of which has its person's body, or None."""

        def one(i: int) -> FloatArray:
            return refine(lifted[i], _shown(windows[i]), body=bodies[i])

        yield from _side_by_side(one, range(len(lifted)), self.threads or torch.get_num_threads())

    def bodies(
        self, windows: Sequence[FloatArray], lifted: Sequence[FloatArray], person: Sequence[int]
    ) -> dict[int, FittedBody | None]:
        """The body that `refined` gives to each person; None where each window finds its own."""

        def body_of(who: int) -> FittedBody | None:
            own = [i for i, whose in enumerate(person) if whose == who]
            if len(own) == 1:  # it finds the same itself
                return None
            some = [own[k] for k in np.linspace(0, len(own) - 1, min(len(own), _BODY_WINDOWS)).round().astype(int)]
            return self.body([windows[i] for i in some], [lifted[i] for i in some])

        people = sorted(set(person))
        return dict(zip(people, _side_by_side(body_of, people, self.threads or torch.get_num_threads()), strict=True))

    def body(self, windows: Sequence[FloatArray], lifted: Sequence[FloatArray]) -> FittedBody | None:
        """The body of one person, all of whose windows these are, as `many` got and lifted them; None if none tells."""
        return fit_body(lifted, [_shown(window) for window in windows])

    def quickly_refined(self, window: FloatArray, lifted: FloatArray, body: FittedBody) -> FloatArray:
        """As `fitted` gives it, nearly, in a third of the time."""
        return refine(lifted, _shown(window), body=body, iterations=1)

    @torch.inference_mode()
    def _lift(
        self, windows: list[FloatArray], *, later: bool = False, newest: int | None = None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Lifts windows of one length in one pass: (B, newest or T, 17, 3) and (B, newest or T, 17, 2) or None."""
        for xyc in windows:
            if xyc.ndim != 3 or xyc.shape[1:] != (17, 3) or not 1 <= len(xyc) <= self.frames:
                raise ValueError(f"window: want (1..{self.frames}, 17, 3), got {xyc.shape}")
        with _one_torch_thread():
            batch = torch.from_numpy(mask_missing(np.stack(windows)))
            # whoever hangs head down is lifted standing: the picture turned by half, and the pose turned back
            hanging = upside_down(batch)
            batch[..., :2][hanging] *= -1
            lifted, widths = lift(
                self.model,
                batch.to(self.device),
                flip=self.flip,
                refined=self.refine and not later,
                refined_later=self.refine,
                unsure=self.unsure,
                newest=newest,
                features=self._features,
            )
            lifted[..., :2][hanging] *= -1
        return lifted.numpy(), None if widths is None else widths.numpy()


def _shown(window: FloatArray) -> FloatArray:
    """A window as refinement is shown it."""
    with _one_torch_thread():
        return normalise_window(torch.from_numpy(mask_missing(window))[None])[0].numpy()


def _side_by_side(call: Callable[[T], R], items: Sequence[T], threads: int) -> Iterator[R]:
    """Calls with every item, so many at a time, each in a thread; the results in order. The first error ends it."""
    if threads == 1 or len(items) == 1:
        yield from map(call, items)
        return
    pool = ThreadPoolExecutor(threads, "lifting")
    try:
        yield from pool.map(call, items)
    finally:
        pool.shutdown(cancel_futures=True)


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
