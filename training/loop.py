"""Training of lifters: batches from the simulator, averaged weights, a clock, several processes."""

from __future__ import annotations

import fnmatch
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sasmamba.common.errors import UserError
from sasmamba.common.shipped_weights import shipped_weights
from sasmamba.models.checkpoint import config_from_dict, load_lifter
from sasmamba.models.normalise import normalise_window
from sasmamba.models.sasmamba import SasMamba, without_uncertainty
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.training import ema as averaging
from sasmamba.training.body_proportions import load_bodies
from sasmamba.training.cameras import Rig, load_rig, rig_from
from sasmamba.training.ema import Ema
from sasmamba.training.evaluation import KIND_NOISE, KINDS, Windows, figures, model_lift, windows
from sasmamba.training.losses import bone_length_error, posemamba_loss, sasmamba_loss
from sasmamba.training.metrics import joint_errors
from sasmamba.training.motion import Motion, load_motion
from sasmamba.training.noise import Severity
from sasmamba.training.processes import Processes
from sasmamba.training.simulate import Simulator, body_lengths
from sasmamba.training.state import save_weights
from sasmamba.training.train_config import TrainConfig, load_config
from sasmamba.training.trainer import Trainer, refuse_another_run
from sasmamba.training.training_log import draw_curves, draw_joints

__all__ = ["LifterTrainer", "load_config", "split", "train"]

#: Reading the loss waits for a GPU to finish; every so many steps is often enough.
_CLOCK_EVERY = 20
#: Kinds of 2D that people's videos give.
_USUAL = tuple(kind for kind in KINDS if kind != "true")
#: What the first process tells the others instead of a share of the budget when somebody asked to stop.
_STOP = 2.0


def split(motion: Motion, config: TrainConfig) -> tuple[Motion, Motion]:
    """Clips to train on, and clips of the held-out subject to validate on.

    Raises:
        UserError: the data have nothing of what is to be held out, or nothing else.
    """
    subject = motion.subject == config.hold_out
    if config.hold_out and not subject.any():
        there = ", ".join(sorted(set(motion.subject.tolist())))
        raise UserError(
            f"hold_out: there is no subject {config.hold_out} in the data; there are {there}. Name one of them, or set "
            'hold_out = "" to train without validation.',
            exit_code=2,
        )
    named = np.zeros(motion.clips, bool)
    for pattern in config.hold_out_clips:
        matching = np.array([fnmatch.fnmatch(str(name), pattern) for name in motion.name], bool)
        if not matching.any():
            raise UserError(
                f"hold_out_clips: no clip's name matches {pattern!r}; names are such as {motion.name[0]}. Mend the "
                "pattern, or leave it out.",
                exit_code=2,
            )
        named |= matching
    kept = motion.select(~subject & ~named)
    if not kept.clips:
        raise UserError(f"All clips are held out (subject {config.hold_out}); there is nothing to train on.")
    return kept, motion.select(subject)


def simulation(config: TrainConfig, root: Path, device: torch.device) -> tuple[Simulator, Motion, Rig]:
    """What draws a configuration's batches, the motion that it holds out, and the cameras that see that.

    Raises:
        UserError: data or cameras that cannot be used.
    """
    kept, held = split(load_motion([root / name for name in config.data]), config)
    kept = kept.to(device)
    rig = load_rig(root / config.cameras, device) if config.cameras else None
    shares = torch.tensor(list(config.data.values()), device=device)
    bodies = body_lengths(kept).to(device)
    people = None
    if config.bodies:
        people = load_bodies(root / config.bodies, float(bodies.mean(0).sum())).to(device)
    seen_by = rig_from(root / config.cameras if config.cameras else None)
    return Simulator(kept, shares, bodies, rig, people, config.rare, config.varied), held, seen_by


def _seed(*parts: int) -> int:
    """A seed of 32 bits (all that the CPU generator takes) from whole numbers, unlike those of its neighbours."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


class LifterTrainer(Trainer):
    """Trains a lifter for one leg, in one process of possibly several.

    Args:
        config: everything the run depends on but the machine.
        out: the run's folder.
        init: weights to start from.
        root: what data and camera paths are relative to.
        resume: go on from the state in `out`.

    Raises:
        UserError: data, cameras, weights or state that cannot be used, or a folder that holds another run.
    """

    model: SasMamba
    config: TrainConfig

    def __init__(
        self, config: TrainConfig, out: Path, init: Path | None, workers: Processes, root: Path, resume: bool
    ) -> None:
        self.workers, self.device = workers, workers.device
        self.shards = config.shards or workers.count
        self.own_shards = workers.own_shards(self.shards)
        if config.precision == "bfloat16" and self.device.type == "cpu":
            raise UserError("bfloat16 is for GPUs; on the CPU leave --precision at float32.", exit_code=2)
        refuse_another_run(out, resume)
        self.simulator, self.held, self.rig = simulation(config, root, self.device)
        torch.manual_seed(config.seed)
        super().__init__(self._model(config, init), config, out, fused=self.device.type in ("cpu", "cuda"))
        longest = max(p.frames for p in config.phases)
        if longest > self.model.config.frames:
            raise UserError(f"A phase has {longest} frames; the model takes {self.model.config.frames}.", exit_code=2)
        self.ema = Ema(self.model, config.ema)
        if resume:
            self.restore()
        self.forward: Callable[[Tensor], Tensor] = torch.compile(self.model) if config.compile else self.model
        self.generator = torch.Generator(self.device)
        self.edges = np.cumsum([p.share for p in config.phases]) / sum(p.share for p in config.phases)

    def _model(self, config: TrainConfig, init: Path | None) -> SasMamba:
        try:
            # how sure a lifter is must be fitted again when it has learned more
            model = without_uncertainty(load_lifter(init)) if init else SasMamba(config_from_dict(dict(config.model)))
        except CheckpointError as error:
            raise UserError(f"Training cannot start from these weights: {error}.") from error
        except (TypeError, ValueError) as error:
            raise UserError(f"The configuration's model cannot be built: {error}.", exit_code=2) from error
        model.recompute = config.recompute
        return model.to(self.device).train()

    def state(self) -> dict[str, dict[str, Any]]:
        """Also the averaged weights."""
        ema = {"model": self.ema.model.state_dict(), "updates": self.ema.updates}
        return super().state() | {"ema": ema}

    def load_state(self, parts: dict[str, dict[str, Any]]) -> None:
        """Also the averaged weights."""
        super().load_state(parts)
        self.ema.model.load_state_dict(parts["ema"]["model"])
        self.ema.updates = parts["ema"]["updates"]

    def save_weights(self, path: Path, notes: dict[str, str]) -> None:
        """The averaged weights."""
        save_weights(self.ema.model, path, notes)

    def validation(self) -> dict[str, Windows]:
        """Windows of the held-out subject, from true and from noisy 2D; none where nobody is held out.

        Where the newest frames alone count, as long as the longest phase's, and more of them: the last frame tells.
        """
        if not self.held.clips or self.workers.rank:
            return {}
        T, n = min(243, self.model.config.frames), self.config.eval_windows
        if self.config.newest:
            longest = max(p.frames for p in self.config.phases)
            T, n = longest, n * math.ceil(T / longest)
        return {kind: windows(self.held, self.rig, self.config.hold_out, T, n, kind) for kind in ("true", "noisy")}

    def step(self, share: float, following: float) -> Tensor:
        """One step of training at `share` of the budget.

        Returns:
            (3,) loss, error in mm, and the first process's `following`, the share of the next step.
        """
        config, progress = self.config, self.progress
        phase = config.phases[min(int(np.searchsorted(self.edges, share, side="right")), len(self.edges) - 1)]
        self.set_rate(self.rate(share))
        self.optimiser.zero_grad(set_to_none=True)
        told = torch.zeros(3, device=self.device)
        for shard in self.own_shards:
            # What a step sees depends on seed, step and shard alone: not on the number of processes, not on a restart.
            self.generator.manual_seed(_seed(progress.seed, progress.step, shard))
            torch.manual_seed(_seed(progress.seed, progress.step, shard, 1))
            severity = self.severity(phase.batch)
            sample = self.simulator.draw(phase.batch, phase.frames, phase.stride, self.generator, severity)
            seen = normalise_window(sample.xyc)
            x = seen[..., : self.model.config.in_channels]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                predicted = self.forward(x)
            predicted = predicted.float()
            end = slice(-self.counted(), None)
            usual = (predicted[:, end], sample.target[:, end], sample.stride)
            if config.loss == "posemamba":
                loss = posemamba_loss(
                    *usual,
                    seen[:, end],
                    sample.R_cam_facing[:, end],
                    config.tcl_weight,
                    config.mpjve_weight,
                    config.reprojection_weight,
                )
            else:
                loss = sasmamba_loss(*usual, config.tcl_weight, config.mpjve_weight)
            if config.bone_weight:
                loss = loss + config.bone_weight * bone_length_error(predicted, sample.target)
            (loss / self.shards).backward()
            with torch.no_grad():
                error = (usual[0] - usual[1]).norm(dim=-1).mean() * 1000
                told[:2] += torch.stack([loss, error]) / self.shards
        if self.workers.rank == 0:
            told[2] = following
        told = self.workers.sum(self.model, told)
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimiser.step()
        progress.step += 1
        progress.frames += phase.batch * phase.frames * self.shards
        if progress.step % averaging.EVERY == 0:
            self.ema.update(self.model)
        return told

    def counted(self) -> int:
        """How many of a window's newest frames count in the loss of a step; 0: all."""
        if not self.config.newest:
            return 0
        return int(torch.randint(2, self.config.newest + 1, (), generator=self.generator, device=self.device))

    def severity(self, batch: int) -> Severity | None:
        """How bad the 2D of a step is: as one kind that is validated, by chance, or None, from clean to very bad."""
        if not self.config.usual:
            return None
        chance, which = torch.rand(2, generator=self.generator, device=self.device).tolist()
        if chance >= self.config.usual:
            return None
        return KIND_NOISE[_USUAL[int(which * len(_USUAL))]](batch, self.device)

    def rate(self, share: float) -> float:
        """Learning rate: warm-up in steps, then half a cosine over the budget."""
        c = self.config
        cosine = c.lr_end + (c.lr - c.lr_end) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        return cosine * min(1.0, (self.progress.step + 1) / c.warmup)

    def run(
        self, say: Callable[[str], None], live: Callable[[str], None] | None, stop: Callable[[], bool]
    ) -> dict[str, float]:
        """Trains until the budget is used up or `stop` says so; returns the last validation figures."""
        config, progress, first = self.config, self.progress, self.workers.rank == 0
        validation, measured = self.validation(), slice(-1 if config.newest else 0, None)
        begin, begin_share, begin_frames = time.monotonic(), progress.share, progress.frames
        begin_seconds = progress.seconds
        if config.steps:
            progress.share = progress.step / config.steps

        def next_share() -> float:
            if stop():
                return _STOP
            if config.steps:
                return (progress.step + 1) / config.steps
            return begin_share + (time.monotonic() - begin) / (config.minutes * 60)

        def save() -> None:
            progress.seconds = begin_seconds + time.monotonic() - begin
            self.save()

        journal = self.open_journal() if first else None
        every = config.eval_minutes / config.minutes
        next_eval = (math.floor(progress.share / every) + 1) * every
        saved = shown = begin
        result: dict[str, float] = {}

        def validate() -> None:
            nonlocal result
            assert journal is not None
            minutes = (begin_seconds + time.monotonic() - begin) / 60
            result = {
                "minutes": minutes,
                "step": progress.step,
                "frames": progress.frames,
                "lr": self.rate(progress.share),
                "train": progress.running,
            }
            errors = {}
            for kind, w in validation.items():
                y, truth = model_lift(self.ema.model)(w.xyc)[:, measured], w.part(measured)
                result |= {f"{kind} {k}": v for k, v in figures(y, truth).items()}
                errors[kind] = joint_errors(y, truth.target).flatten(0, 1).mean(0).tolist()
            journal.add(result)
            if "noisy P1" in result:
                self.save_if_best(result["noisy P1"])
            save()
            draw_curves(journal.rows, self.out / "curves.png", self.out.name)
            if errors:
                draw_joints(errors, self.out / "joints.png", f"{self.out.name}: {config.hold_out}, by joint")
            figures_shown = "  ".join(f"{k} {v:.1f}" for k, v in result.items() if k.endswith((" P1", " P2")))
            say(
                f"{minutes:.1f} min  step {progress.step}  {self._speed(begin, begin_frames)}  "
                f"train {progress.running:.1f} mm  {figures_shown}"
            )

        share = self.workers.first_says(progress.share)
        recent: Tensor | None = None
        if math.isfinite(progress.running):
            recent = torch.tensor(progress.running, device=self.device)
        try:
            while share < 1:
                progress.share = share
                following = next_share() if first else 0.0
                told = self.step(share, following)
                share = told[2].item() if self.workers.count > 1 else following
                recent = told[1] if recent is None else torch.lerp(told[1], recent, self.smoothing())
                now = time.monotonic()
                validate_now = first and next_eval <= share < 1
                save_now = first and now - saved >= config.checkpoint_minutes * 60 and share < 1
                if progress.step % _CLOCK_EVERY == 0 or share >= 1 or validate_now or save_now:
                    progress.running = recent.item()
                    if not math.isfinite(told[0].item()):
                        raise self.diverged()
                if first and live and now - shown > 1:
                    shown = now
                    live(
                        f"{100 * min(share, 1):.0f} %  step {progress.step}  {self._speed(begin, begin_frames)}  "
                        f"lr {self.rate(share):.1e}  train {progress.running:.1f} mm"
                    )
                if validate_now:
                    next_eval += every
                    progress.share = share
                    validate()
                    saved = time.monotonic()
                elif save_now:
                    progress.share = share
                    save()
                    saved = now
            if first and share >= _STOP:
                save()
                say(self.stopped())
            elif first:
                progress.share = 1.0
                validate()
        finally:
            if journal is not None:
                journal.close()
        return result

    def _speed(self, begin: float, begin_frames: int) -> str:
        return f"{(self.progress.frames - begin_frames) / max(1e-6, time.monotonic() - begin):.0f} frames/s"


def train(
    config: TrainConfig,
    out: Path,
    init: Path | None = None,
    device: str = "cpu",
    root: Path = Path(),
    say: Callable[[str], None] = print,
    *,
    resume: bool = False,
    live: Callable[[str], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Runs one leg and returns the last validation figures.

    Writes into `out`: state.pt (what --resume reads) and last.safetensors at every checkpoint, best.safetensors (lowest
    P1 of the held-out subject from noisy 2D; none where nobody is held out),
    metrics.csv, curves.png, joints.png. A later leg starts from either weights through `init`.

    Args:
        init: weights to start from; config.init names others.
        device: "cpu" or "cuda"; under torchrun each process takes the GPU of its own local rank.
        say, live: told whole lines, and a status line about once a second.
        stop: asked after every step.

    Raises:
        UserError: input, weights, state or disk that cannot be used; one sentence that says what to do.
    """
    workers = Processes(torch.device(device))
    if init is None and resume and not config.model and (out / "last.safetensors").exists():
        init = out / "last.safetensors"  # a run that began from weights: they tell the model's shape
    if init is None and config.init:
        init = find_weights(config.init, root)
    with workers.together():
        return LifterTrainer(config, out, init, workers, root, resume).run(say, live, stop)


def find_weights(name: str, root: Path = Path()) -> Path:
    """A checkpoint by path (a name with a suffix), relative to here or to `root`, or a shipped lifter by name."""
    if not name.endswith(".safetensors"):
        return shipped_weights(name)
    path = Path(name)
    return path if path.exists() else root / path
