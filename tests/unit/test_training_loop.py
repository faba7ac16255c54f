"""The loop: repeatable, resumable after a kill, the same alone and in company; a disk that refuses says so."""

from __future__ import annotations

import csv
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers_http import free_port
from helpers_motion import write_motion, write_rig
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sasmamba.common.errors import UserError
from sasmamba.models.blocks import BlockConfig
from sasmamba.models.checkpoint import config_from_dict, load_lifter, save_lifter
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig
from sasmamba.training import loop, state
from sasmamba.training.ema import Ema
from sasmamba.training.loop import train
from sasmamba.training.motion import load_motion
from sasmamba.training.train_config import Phase, TrainConfig, load_config

TINY = {
    "blocks": 2,
    "in_channels": 3,
    "drop_path": 0.1,
    "frames": 27,
    "block": {"width": 16, "states": 1, "local": "depthwise"},
}


def silent(_: str) -> None:
    pass


def write_data(folder: Path) -> Path:
    write_motion(folder / "m.npz", [("S1", "walk", 120), ("S5", "walk", 60), ("S8", "walk", 60)])
    write_rig(folder / "c.json", ["S1", "S8"])
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing befell, to compare with; nobody writes into it."""
    folder = write_data(tmp_path_factory.mktemp("whole"))
    torch.set_num_threads(1)
    run(folder, "run", config())
    return folder / "run"


def config(**changes: object) -> TrainConfig:
    base = TrainConfig(
        data={"m.npz": 1.0},
        cameras="c.json",
        model=TINY,
        steps=12,
        warmup=4,
        eval_windows=1,
        phases=(Phase(0.5, 2, 5, (1, 8)), Phase(0.5, 2, 9, (1, 4))),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(folder / f"{name}.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], atol: float = 0.0) -> None:
    for key, value in a.items():
        torch.testing.assert_close(value, b[key], atol=atol, rtol=0, msg=lambda m, k=key: f"{k}: {m}")


def run(data: Path, name: str, c: TrainConfig, **more: object) -> dict[str, float]:
    return train(c, data / name, root=data, say=silent, **more)  # type: ignore[arg-type]


def test_writes_everything(data: Path) -> None:
    figures = run(data, "run", config(eval_minutes=5.0))
    files = {p.name for p in (data / "run").iterdir()} - {"tensorboard"}
    assert files == {"state.pt", "last.safetensors", "best.safetensors", "metrics.csv", "curves.png", "joints.png"}
    assert (data / "run/curves.png").read_bytes().startswith(b"\x89PNG")
    with (data / "run/metrics.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [int(r["step"]) for r in rows] == [6, 12]  # half-way (5 of 10 minutes) and at the end
    assert float(rows[-1]["noisy P1"]) == pytest.approx(figures["noisy P1"], rel=1e-4)
    assert load_lifter(data / "run/best.safetensors").config.block.width == 16


def test_seeds(data: Path, whole: Path) -> None:
    for name, seed in (("same", config().seed), ("other", config().seed + 1)):
        run(data, name, config(seed=seed))
    same(weights(whole), weights(data / "same"))
    assert not torch.equal(weights(whole)["embed.weight"], weights(data / "other")["embed.weight"])


def test_training_reduces_the_error(data: Path) -> None:
    few, many = (run(data, f"r{n}", config(steps=n, lr=5e-3)) for n in (2, 100))
    assert many["true P1"] < 0.8 * few["true P1"]


def stop_after(steps: int) -> Callable[[], bool]:
    left = [steps]

    def stop() -> bool:
        left[0] -= 1
        return left[0] <= 0

    return stop


def test_resume_is_exact(data: Path, whole: Path) -> None:
    """Stopped and resumed, a run ends where it would have ended; drop path and noise included."""
    run(data, "parts", config(), stop=stop_after(5))
    assert state.load_state(data / "parts/state.pt")[0].step == 5
    run(data, "parts", config(), resume=True)
    same(weights(whole), weights(data / "parts"))


def test_a_run_that_began_from_weights_needs_them_no_more(data: Path) -> None:
    start = data / "start.safetensors"
    save_lifter(SasMamba(config_from_dict(TINY)), start)
    run(data, "run", config(model={}), init=start, stop=stop_after(5))
    start.unlink()
    run(data, "run", config(model={}), resume=True)
    assert state.load_state(data / "run/state.pt")[0].step == 12


def test_a_kill_loses_one_checkpoint_interval(data: Path, whole: Path) -> None:
    """A run that dies without a word, after its last checkpoint, is taken up there."""

    class Killed(Exception):
        pass

    def die() -> bool:
        if (data / "killed/state.pt").exists() and state.load_state(data / "killed/state.pt")[0].step == 7:
            raise Killed
        return False

    with pytest.raises(Killed):
        run(data, "killed", config(checkpoint_minutes=0.0), stop=die)
    run(data, "killed", config(), resume=True)
    same(weights(whole), weights(data / "killed"))


def test_sigkill(data: Path) -> None:
    """A real kill, at any moment, leaves files that are whole and a run that goes on."""
    (data / "t.toml").write_text(
        'cameras = "c.json"\nsteps = 100000\ncheckpoint_minutes = 0.0\neval_windows = 1\n'
        "model = {blocks = 2, in_channels = 3, frames = 27, block = {width = 16, states = 1, local = 'depthwise'}}\n"
        '[data]\n"m.npz" = 1.0\n[[phases]]\nshare = 1\nbatch = 1\nframes = 3\nstride = [1, 8]\n'
    )
    command = [
        sys.executable,
        "-m",
        "sasmamba.training",
        "train",
        "--config",
        str(data / "t.toml"),
        "--data-root",
        str(data),
        "--out",
        str(data / "run"),
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (data / "run/last.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    progress, _ = state.load_state(data / "run/state.pt")
    assert progress.step > 0
    load_lifter(data / "run/last.safetensors")
    resumed = subprocess.run(
        [*command, "--resume", "--steps", str(progress.step + 3)], check=True, capture_output=True, text=True
    )
    assert f"step {progress.step + 3}" in resumed.stdout


def test_two_processes_equal_one(data: Path) -> None:
    """Two processes with one micro-batch each take the steps that one process takes with both."""
    alone = run(data, "one", config(shards=2))
    (data / "config").write_bytes(pickle.dumps(config(shards=2)))
    code = (
        "import pickle, torch; from pathlib import Path; from sasmamba.training.loop import train\n"
        f"torch.set_num_threads(1); data = Path({str(data)!r})\n"
        "train(pickle.loads((data / 'config').read_bytes()), data / 'two', root=data)\n"
    )
    env = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    pair = [
        subprocess.Popen([sys.executable, "-c", code], env=env | {"RANK": rank}, stdout=subprocess.PIPE, text=True)
        for rank in "01"
    ]
    outputs = [p.communicate(timeout=240)[0] for p in pair]
    assert [p.returncode for p in pair] == [0, 0]
    assert "step 12" in outputs[0]
    assert not outputs[1], "only the first process may talk"
    same(weights(data / "one"), weights(data / "two"), atol=1e-5)
    with (data / "two/metrics.csv").open() as f:
        together = list(csv.DictReader(f))[-1]
    assert float(together["train"]) == pytest.approx(alone["train"], rel=1e-4)
    assert float(together["frames"]) == alone["frames"]


def test_starts_from_weights(data: Path) -> None:
    run(data, "first", config(steps=4))
    before = weights(data / "first")
    run(data, "second", config(steps=1, lr=1e-9, warmup=1, model={}), init=data / "first/last.safetensors")
    same(before, weights(data / "second"), atol=1e-6)
    run(data, "third", config(steps=1, lr=1e-9, warmup=1, model={}, init=str(data / "first/last.safetensors")))
    same(before, weights(data / "third"), atol=1e-6)


def test_bone_lengths_can_be_trained_for(data: Path, whole: Path) -> None:
    run(data, "with", config(bone_weight=1.0))
    assert not torch.equal(weights(data / "with")["head.1.weight"], weights(whole)["head.1.weight"])


def test_wall_clock_budget(data: Path) -> None:
    begin = time.monotonic()
    figures = run(data, "run", config(steps=0, minutes=1 / 30))
    assert 1.9 < time.monotonic() - begin < 120
    assert figures["step"] > 3
    assert state.load_state(data / "run/state.pt")[0].share == 1


def test_no_cameras_and_nobody_held_out(data: Path) -> None:
    with_rig = run(data, "a", config(cameras=""))
    assert with_rig["true P1"] > 0
    figures = run(data, "b", config(hold_out=""))
    assert "true P1" not in figures
    files = {p.name for p in (data / "b").iterdir()} - {"tensorboard"}
    assert files == {"state.pt", "last.safetensors", "metrics.csv", "curves.png"}, "nothing is best without validation"


def test_held_out_clips(data: Path) -> None:
    motion = load_motion([data / "m.npz"])
    kept, held = loop.split(motion, config(hold_out_clips=("S5/*",)))
    assert set(kept.subject) == {"S1"}
    assert set(held.subject) == {"S8"}
    with pytest.raises(UserError, match="nothing to train on"):
        loop.split(motion, config(hold_out_clips=("*",)))


@pytest.mark.parametrize(
    ("changes", "more", "sentence"),
    [
        pytest.param({"model": {"blocks": 3}}, {}, "cannot be built", id="impossible model"),
        pytest.param({"model": {"bloks": 2}}, {}, "cannot be built", id="unknown name in the model"),
        pytest.param({"precision": "bfloat16"}, {}, "for GPUs", id="bfloat16 on the CPU"),
        pytest.param({"phases": (Phase(1, 1, 81, (1, 1)),)}, {}, "the model takes 27", id="phase too long"),
        pytest.param({"data": {"x.npz": 1.0}}, {}, "does not exist", id="no data"),
        pytest.param({"hold_out": "S9"}, {}, "no subject S9 in the data; there are S1, S5, S8", id="stranger held out"),
        pytest.param({"hold_out_clips": ("spin*",)}, {}, "no clip's name matches 'spin", id="strange clips held out"),
        pytest.param({}, {"resume": True}, "no run to resume", id="nothing to resume"),
        pytest.param({"init": "x.safetensors"}, {}, "cannot start from these weights", id="no weights"),
        pytest.param({"lr": 1e6, "steps": 60, "clip": 1e9}, {}, "no longer a number", id="diverges"),
    ],
)
def test_bad_input(data: Path, changes: dict, more: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run(data, "run", config(**changes), **more)
    assert not list(data.glob("run/*.safetensors"))


def test_does_not_overwrite_a_run(data: Path) -> None:
    run(data, "run", config(steps=1))
    with pytest.raises(UserError, match="holds a run already; add --resume"):
        run(data, "run", config(steps=1))
    with pytest.raises(UserError, match="another model"):
        run(data, "run", config(model=TINY | {"blocks": 4}), resume=True)
    (data / "run/state.pt").write_bytes(b"rubbish")
    with pytest.raises(UserError, match="not the state of a run"):
        run(data, "run", config(steps=1), resume=True)


@pytest.mark.parametrize("write", ["state", "weights"])
def test_full_disk(tmp_path: Path, write: str) -> None:
    """A disk that refuses: one sentence, nothing half-written, the old file untouched."""
    model = SasMamba(SasMambaConfig(BlockConfig(width=32), blocks=2))
    path = tmp_path / "file"

    def save() -> None:
        if write == "state":
            state.save_state(path, state.RunState(), {"model": model.state_dict()})
        else:
            state.save_weights(model, path, {})

    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(UserError, match="could not be written") as caught:
            save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_other_checkpoints_are_refused(data: Path) -> None:
    save_lifter(SasMamba(SasMambaConfig(BlockConfig(width=16), blocks=2)), data / "w.safetensors")
    raw = (data / "w.safetensors").read_bytes()
    (data / "w.safetensors").write_bytes(raw.replace(b"coco17-to-h36m17/1", b"coco17-to-h36m17/0"))
    with pytest.raises(UserError, match="coco17-to-h36m17/0"):
        run(data, "run", config(), init=data / "w.safetensors")


def test_ema_follows() -> None:
    model = SasMamba(SasMambaConfig(BlockConfig(width=16), blocks=2))
    ema = Ema(model, 0.9)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)
    start = ema.model.embed.bias.clone()
    for _ in range(200):
        ema.update(model)
    torch.testing.assert_close(ema.model.embed.bias, start + 1, atol=1e-3, rtol=0)
    assert not any(p.requires_grad for p in ema.model.parameters())


@pytest.mark.filterwarnings("ignore:Dynamo detected")
def test_compiled_model_trains_alike(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through torch.compile (without code generation, which needs a compiler) weights come out the same."""
    real = torch.compile
    compiled: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda m: compiled.append(m) or real(m, backend="eager"))
    short: dict = {"steps": 2, "phases": (Phase(1, 2, 3, (1, 8)),), "hold_out": ""}
    run(data, "plain", config(**short))
    run(data, "compiled", config(**short, compile=True))
    assert compiled
    same(weights(data / "plain"), weights(data / "compiled"), atol=1e-5)


def test_recomputing_trains_alike(data: Path) -> None:
    short: dict = {"steps": 4, "hold_out": ""}
    run(data, "held", config(**short))
    run(data, "again", config(**short, recompute=True))
    same(weights(data / "held"), weights(data / "again"))


@pytest.mark.parametrize("name", ["lean", "paper", "finetune"])
def test_own_configurations(name: str) -> None:
    c = load_config(name)
    assert c.phases[-1].frames <= 243
    assert sum(p.share for p in c.phases) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[data]\n'm.npz' = 1\n[[phases]]\nshare = 1\n", "a phase lacks 'batch'"),
        ("lrr = 3\n[data]\n'm.npz' = 1\n", r"there is no setting 'lrr' \(perhaps lr\)"),
        (
            "[data]\n'm.npz' = 1\n[[phases]]\nshare = 1\nbatch = 1\nframes = 3\nstride = [1, 8]\nstrides = 2\n",
            r"there is no setting 'strides' \(perhaps stride\)",
        ),
        ("phases = 3\n[data]\n'm.npz' = 1\n", "not a usable training configuration"),
        ("phases = [3]\n[data]\n'm.npz' = 1\n", "not a usable training configuration"),
        ("lr = 'fast'\n[data]\n'm.npz' = 1\n", "not a usable training configuration"),
        ("lr = -1\n[data]\n'm.npz' = 1\n", "lr: want above 0"),
        ("data = {}\n", "at least one motion file"),
        ("precision = 'half'\n[data]\n'm.npz' = 1\n", "precision: want one of"),
        ("lr = = 3", "not a usable training configuration"),
    ],
)
def test_bad_configurations(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        load_config(tmp_path / "c.toml")


def test_missing_configuration_names_the_own_ones() -> None:
    names = "lean, lean-live, lean-people, lean-varied, paper, posemamba, posemamba-lean"
    with pytest.raises(UserError, match=rf"finetune, .*{names}\."):
        load_config("mine")


def test_tensorboard_reads_what_was_written(whole: Path) -> None:
    """TensorBoard's own reader finds the figures of metrics.csv."""
    events = EventAccumulator(str(whole / "tensorboard"))
    events.Reload()
    with (whole / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    (scalar,) = [s for s in events.Scalars("noisy/P1") if s.step == 12]
    assert scalar.value == pytest.approx(float(rows[-1]["noisy P1"]), rel=1e-4)
