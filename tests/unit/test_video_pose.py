"""2D training on a tiny folder in PoseTrack's layout: learns, resumes, its weights load; settings and mistakes."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers_posetrack import write_posetrack
from safetensors.torch import load_file
from torch import Tensor, nn
from typer.testing import CliRunner

from sasmamba.app.cli.main import app as demo
from sasmamba.common.errors import UserError
from sasmamba.models.glsmamba import GLSMamba
from sasmamba.models.glsmamba_checkpoint import BackboneRecord, load_glsmamba
from sasmamba.training import video_training
from sasmamba.training.crops import STRIDE, heatmap_targets, plain_transform
from sasmamba.training.video_clips import PoseTrackClips
from sasmamba.training.video_pose import (
    Batch,
    VideoPoseConfig,
    VideoPoseTrainer,
    heatmap_loss,
    load_video_config,
    with_settings,
)
from sasmamba.training.video_training import train_2d

INPUT = (48, 64)
MODEL = {
    "width": 16,
    "frames": 3,
    "gsm_blocks": 1,
    "lrm_blocks": 1,
    "window": [8, 6],
    "deconv_channels": [16, 16],
    "states": 2,
    "ffn_ratio": 2,
    "offset_channels": 4,
}
RECORD = BackboneRecord("vit", "abc")


class Backbone(nn.Module):
    """Sees every patch of 16 × 16 as its 4 × 4 mean colours, in random mixtures that are the same every time."""

    channels, input_px, sha256 = 48, INPUT, "abc"

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(48, 48, 1, 1, generator=generator) / 7)

    def forward(self, images: Tensor, frames: int = 1) -> Tensor:
        patches = nn.functional.pixel_unshuffle(nn.functional.avg_pool2d(images, 4), 4)
        return nn.functional.conv2d(patches, self.weight).unflatten(0, (-1, frames))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_posetrack(tmp_path_factory.mktemp("posetrack"))


def config(**changes: Any) -> VideoPoseConfig:
    base = VideoPoseConfig(
        train=("annotations/train",),
        validate=("annotations/train",),
        model=MODEL,
        input_px=INPUT,
        batch=2,
        steps=4,
        sigma=1.0,
        lr=3e-3,
        lr_drops=(),
        validate_epochs=1,
    )
    return replace(base, **changes)


def silent(_: str) -> None:
    pass


def train(data: Path, out: Path, settings: VideoPoseConfig, **kind: Any) -> list[dict[str, float]]:
    return train_2d(settings, Backbone(), out, RECORD, root=data, say=silent, **kind)


def test_learns_and_its_weights_load(data: Path, tmp_path: Path) -> None:
    """Everybody stands alike in these pictures, so where joints lie in a crop is what there is to learn."""
    backbone = Backbone()
    before = backbone.weight.detach().clone()
    settings = config(steps=50, validate_epochs=25 / 3)
    still = replace(settings.augmentation, rotation_deg=0, scale=0, half_body=0, flip=0)
    rows = train_2d(replace(settings, augmentation=still), backbone, tmp_path, RECORD, root=data, say=silent)
    assert torch.equal(backbone.weight, before)  # frozen
    model, record = load_glsmamba(tmp_path / "last.safetensors")
    assert (record, model.config.frames, model.config.backbone_channels) == (RECORD, 3, 48)
    clips = PoseTrackClips([data / "annotations/train"], data, settings, 3)
    with torch.no_grad():
        measured = clips.measure(lambda frames: model(backbone(frames.flatten(0, 1), 3)))
    untrained = GLSMamba(model.config).eval()
    with torch.no_grad():
        before_any = clips.measure(lambda frames: untrained(backbone(frames.flatten(0, 1), 3)))
    assert before_any["mAP"] < 20
    assert measured["mAP"] > 90
    assert measured["mAP"] == pytest.approx(rows[-1]["mAP"], abs=1e-4)  # what was measured is what was saved
    with (tmp_path / "metrics.csv").open() as told:
        assert [int(float(r["step"])) for r in csv.DictReader(told)] == [25, 50]
    notes = load_file(tmp_path / "best.safetensors")
    assert notes.keys() == model.state_dict().keys()


def test_a_run_that_is_stopped_and_resumed_is_the_same_run(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "whole", config())
    asked = iter([False, False, True])
    train(data, tmp_path / "parts", config(), stop=lambda: next(asked))
    assert not (tmp_path / "parts/metrics.csv").exists()
    with pytest.raises(UserError, match="--resume"):
        train(data, tmp_path / "parts", config())
    train(data, tmp_path / "parts", config(), resume=True)
    a, b = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(a[k], b[k]) for k in a)
    figures = [(tmp_path / name / "metrics.csv").read_text().splitlines()[1:] for name in ("whole", "parts")]
    without_minutes = [[row.split(",", 1)[1] for row in rows] for rows in figures]
    assert without_minutes[0] == without_minutes[1]
    again = train(data, tmp_path / "whole", config(), resume=True)  # nothing is left to do
    assert again[-1]["step"] == 4
    fewer = {**MODEL, "width": 8}
    with pytest.raises(UserError, match="another model"):
        train(data, tmp_path / "whole", config(model=fewer), resume=True)


def test_goes_on_from_weights(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "a", config(steps=2))
    train(data, tmp_path / "b", config(steps=1, lr=1e-12, model={}), init=tmp_path / "a/last.safetensors")
    a, b = (load_file(tmp_path / n / "last.safetensors")["embed.weight"] for n in "ab")
    assert torch.allclose(a, b, atol=1e-8)


def test_nothing_is_best_without_validation(data: Path, tmp_path: Path) -> None:
    rows = train(data, tmp_path, config(steps=3, validate=()))
    assert set(rows[-1]) == {"minutes", "step", "epoch", "lr", "loss"}
    assert sorted(p.name for p in tmp_path.glob("*.safetensors")) == ["last.safetensors"]


def test_perfect_heatmaps_have_an_average_precision_of_100(data: Path) -> None:
    settings = config(input_px=(192, 256))
    clips = PoseTrackClips([data / "annotations/train"], data, settings, 3)
    asked = iter(clips.clips)

    def predict(frames: Tensor) -> Tensor:
        people = [next(asked).person for _ in frames]
        made = [
            heatmap_targets(
                plain_transform(p.box_px, (192, 256)).points(p.joints_px), np.ones(15, np.float32), (192, 256)
            )
            for p in people
        ]
        return torch.from_numpy(np.stack([heat for heat, _ in made]))

    told = clips.measure(predict)
    assert told["mAP"] == 100
    assert told["error"] == 0
    asked = iter(clips.clips)
    beside = clips.measure(lambda frames: predict(frames).roll(12, -1))  # 12 · 4 pixels of the crop
    assert beside["mAP"] == 0


def test_batches_aim_at_the_joints_that_are_seen(data: Path) -> None:
    """Every joint is a bright spot of its own colour: the heatmap's peak is at that spot, in mirrored views, too."""
    settings = config(input_px=(192, 256))
    clips = PoseTrackClips([data / "annotations/train"], data, settings, 3)
    batch = clips.batch([0, 1, 2, 3, 4, 5], (3,))
    assert batch.frames.shape == (6, 3, 3, 256, 192)
    again = clips.batch([0, 1, 2, 3, 4, 5], (3,))
    assert torch.equal(batch.frames, again.frames)
    assert not torch.equal(batch.frames, clips.batch([0, 1, 2, 3, 4, 5], (4,)).frames)
    bright = batch.frames[:, 1].sum(1)  # (6, 256, 192) the middle frame
    seen = 0
    for heat, weight, picture in zip(batch.heat, batch.weight, bright, strict=True):
        for joint in torch.nonzero(weight).flatten().tolist():
            y, x = divmod(int(heat[joint].argmax()), heat.shape[-1])
            around = picture[max(0, STRIDE * y - 6) : STRIDE * y + 7, max(0, STRIDE * x - 6) : STRIDE * x + 7]
            assert around.max() > 3  # black is -6, noise below 0
            seen += 1
    assert seen > 50


def test_clips_of_three_frames_move(data: Path) -> None:
    clips = PoseTrackClips([data / "annotations/train"], data, config(input_px=(192, 256)), 3)
    frames = clips.cut(clips.clips[1], plain_transform(clips.clips[1].person.box_px, (192, 256)))
    spot = [np.argwhere(f.max(-1) > 200).mean(0) for f in frames]
    step = 192 / (105 * 0.75 * 1.25) * 3  # 3 pixels of the picture
    assert np.allclose([b[1] - a[1] for a, b in itertools.pairwise(spot)], step, atol=0.6)


def test_loss_by_hand() -> None:
    heat, predicted = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    heat[0, 0, 0, 0], predicted[0, 0, 1, 1], predicted[0, 1] = 1.0, 2.0, 9.0
    assert heatmap_loss(predicted, heat, torch.tensor([[1.0, 0.0]])).item() == 5  # 1² + 2², joint 1 does not count
    assert heatmap_loss(predicted, heat, torch.tensor([[1.0, 1.0]])).item() == (5 + 4 * 81) / 2
    with pytest.raises(ValueError, match="heatmaps"):
        heatmap_loss(predicted, heat[:, :1], torch.ones(1, 2))


def test_the_papers_schedule_is_the_default() -> None:
    ours = load_video_config("glsmamba")
    assert [ours.rate(e) for e in (0, 5.99, 6, 11, 12, 19)] == [1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6]
    assert (ours.epochs, ours.input_px, ours.model) == (20, (192, 256), {"frames": 5})
    assert VideoPoseConfig().lr_drops == ours.lr_drops


class _Numbers:
    """One clip whose heatmap is not a number from the second step on."""

    def __len__(self) -> int:
        return 2

    def batch(self, indices: list[int], seed: tuple[int, ...]) -> Batch:
        bad = float("nan") if seed[1] else 1.0
        return Batch(torch.ones(1, 1), torch.full((1, 1, 1, 1), bad), torch.ones(1, 1))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    head = nn.Sequential(nn.Linear(1, 1), nn.Unflatten(1, (1, 1, 1)))
    run = VideoPoseTrainer(head, lambda x: x, _Numbers(), None, config(steps=3), tmp_path, lambda p, n: None)
    with pytest.raises(UserError, match="no longer a number"):
        run.run(silent)


def changed(data: Path, folder: Path, change: Callable[[Path], object]) -> Path:
    import shutil

    shutil.copytree(data, folder)
    change(folder)
    return folder


def _nobody(folder: Path) -> None:
    for path in (folder / "annotations/train").iterdir():
        path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": []}))


def _no_heads(folder: Path) -> None:
    for path in (folder / "annotations/train").iterdir():
        path.write_text(re.sub(r'"bbox_head": \[[^]]*\]', '"bbox_head": []', path.read_text()))


@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        (lambda d: None, {"train": ()}, "names no annotations"),
        (lambda d: None, {"train": ("annotations/none",)}, "does not exist"),
        (lambda d: None, {"images": "elsewhere"}, "10 of 10 pictures are missing"),
        (lambda d: None, {"input_px": (64, 64)}, "the backbone reads 48×64"),
        (lambda d: None, {"model": {**MODEL, "widht": 3}}, "cannot be built"),
        (lambda d: None, {"model": {**MODEL, "window": [5, 6]}}, "divide into windows"),
        (lambda d: None, {"model": {**MODEL, "backbone_channels": 7}}, "the backbone has 48"),
        (_nobody, {}, "nobody with a labelled joint"),
        (_no_heads, {}, "lack boxes around heads"),
        (lambda d: next(d.rglob("*000003.jpg")).write_bytes(b"x"), {}, "not a readable picture"),
    ],
)
def test_says_what_is_wrong(data: Path, tmp_path: Path, change, settings: dict, says: str) -> None:  # type: ignore[no-untyped-def]
    broken = changed(data, tmp_path / "data", change)
    with pytest.raises(UserError, match=re.escape(says)):
        train(broken, tmp_path / "out", config(**settings))
    assert not (tmp_path / "out/last.safetensors").exists()


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("learning_rate = 1", "there is no setting 'learning_rate'"),
        ("augmentation = 3", "not a usable configuration"),
        ("train = 3", "not a usable configuration"),
        ("[augmentation]\nblur = 1", "there is no setting 'blur'"),
        ("batch = 0", "batch: want above 0"),
        ("input_px = [100, 128]", "input_px: want multiples of 16"),
        ("lr_drops = [[12, 1e-5], [6, 1e-6]]", "lr_drops: want"),
        ("batch = ", "not a usable configuration"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / "c.toml").write_text(toml)
    with pytest.raises(UserError, match=re.escape(says)) as told:
        load_video_config(tmp_path / "c.toml")
    assert told.value.exit_code == 2


def test_settings_replaced() -> None:
    assert with_settings(config(), lr=None, epochs=3).epochs == 3
    for call in (lambda: with_settings(config(), lr=-1.0), lambda: load_video_config("nothing")):
        with pytest.raises(UserError) as told:
            call()
        assert told.value.exit_code == 2


TOML = """
train = ["annotations/train"]
input_px = [48, 64]
batch = 2
sigma = 1.0
[model]
width = 16
frames = 3
gsm_blocks = 1
lrm_blocks = 1
deconv_channels = [16, 16]
states = 2
"""


def command(*more: object):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(demo, ["train-2d", "--device", "cpu", *map(str, more)])


def test_the_command(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.toml").write_text(TOML)
    monkeypatch.setattr(video_training, "open_backbone", lambda path, device: Backbone())
    given = ("--config", tmp_path / "c.toml", "--data-root", data, "--backbone", "vit", "--out", tmp_path / "run")
    result = command(*given, "--steps", 2)
    assert result.exit_code == 0, result.output
    assert "6 clips of 3 frames" in result.output
    assert "step 2/2" in result.output
    model, record = load_glsmamba(tmp_path / "run/last.safetensors")
    # absolute, so that the file can be used from elsewhere
    assert (model.config.width, record) == (16, BackboneRecord(str(Path("vit").absolute()), "abc"))
    assert isinstance(command(*given).exception, UserError)
    assert command(*given, "--steps", 3, "--resume", "--quiet").output == ""


def test_the_command_without_a_backbone(data: Path, tmp_path: Path) -> None:
    result = command("--data-root", data, "--backbone", tmp_path / "none", "--out", tmp_path / "run")
    assert isinstance(result.exception, UserError)
    assert "not a ViTPose checkpoint" in str(result.exception)
    assert not (tmp_path / "run").exists()
