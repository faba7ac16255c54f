"""A block in one native call computes what its layers compute, for every width, window and variant that it takes."""

from __future__ import annotations

import pytest
import torch

from sasmamba.models import kernels
from sasmamba.models.blocks import Block, BlockConfig
from sasmamba.models.fused import KeptFeatures, can_fuse
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig

pytestmark = pytest.mark.skipif(kernels.load()[0] is None, reason=kernels.load()[1])

FUSED = {
    "shipped": BlockConfig(width=48, states=1),
    "paper": BlockConfig(),
    "3 states": BlockConfig(width=16, states=3, mlp_ratio=3),
    "K=1": BlockConfig(width=32, states=1, taps_side=1),
    "K=5": BlockConfig(width=32, states=1, taps_side=5),
    "depthwise": BlockConfig(width=32, states=2, local="depthwise", scan_input="plain"),
    "expand 1": BlockConfig(width=32, states=1, expand=1),
    "temporal": BlockConfig(width=16, states=1, directions=("temporal_forward", "temporal_backward")),
}
LAYERED = {
    "width 40": BlockConfig(width=40, states=1),
    "limb": BlockConfig(width=16, states=1, scan_input="limb"),
    "summed strides": BlockConfig(width=16, states=1, scan_input="stride_sum"),
}


def block(config: BlockConfig) -> Block:
    """A block with weights that all matter: no zero offsets, no norm that does nothing."""
    torch.manual_seed(0)
    out = Block(config).eval()
    for name, p in out.named_parameters():
        if "offset" in name or p.dim() == 1:
            torch.nn.init.normal_(p, std=0.3 if "offset.weight" not in name else 0.05)
    return out


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (2, 13), (5, 3), (1, 50)], ids=str)
@pytest.mark.parametrize("config", FUSED.values(), ids=FUSED.keys())
def test_a_fused_block_is_its_layers(config: BlockConfig, batch: int, frames: int, threads: int) -> None:
    part, before = block(config), torch.get_num_threads()
    x = torch.randn(batch, frames, 17, config.width)
    try:
        torch.set_num_threads(threads)
        with torch.no_grad():
            assert can_fuse(part, x)
            got, want = part(x), part.double().layer_by_layer(x.double())
    finally:
        torch.set_num_threads(before)
    assert (got - want).norm() <= 3e-6 * want.norm()


@pytest.mark.parametrize("newest", [None, 1, 7, 20], ids=str)
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (3, 20)], ids=str)
@pytest.mark.parametrize("config", FUSED.values(), ids=FUSED.keys())
def test_kept_features_are_those_of_the_layers(
    config: BlockConfig, batch: int, frames: int, newest: int | None
) -> None:
    torch.manual_seed(0)
    model = SasMamba(SasMambaConfig(config, blocks=4, frames=27, in_channels=3)).eval()
    for name, p in model.named_parameters():
        if p.dim() == 1 and "offset" not in name:
            torch.nn.init.normal_(p, 0.5, std=0.3)
    kept, x = KeptFeatures.of(model), torch.randn(batch, frames, 17, 3)
    assert kept is not None
    with torch.inference_mode():
        got = kept(x, newest)
        if newest is not None:
            assert torch.equal(got, kept(x)[:, -newest:]), "what is not asked for has no part in what is"
        want = model.double().features(x.double(), newest)
    assert got.shape == want.shape
    assert (got - want).norm() <= 1e-5 * want.norm()


def test_what_the_kernel_does_not_know_is_not_kept() -> None:
    assert KeptFeatures.of(SasMamba(SasMambaConfig(LAYERED["limb"], blocks=2)).eval()) is None
    assert KeptFeatures.of(SasMamba(SasMambaConfig(FUSED["shipped"], blocks=2)).train()) is None


def test_it_reads_what_lies_in_memory_in_any_order() -> None:
    part = block(FUSED["shipped"])
    x = torch.randn(17, 6, 2, 48).transpose(0, 2)
    with torch.no_grad():
        torch.testing.assert_close(part(x), part.layer_by_layer(x), rtol=1e-4, atol=1e-5)


def test_a_weight_that_changes_counts_at_once() -> None:
    part, x = block(FUSED["shipped"]), torch.randn(1, 5, 17, 48)
    with torch.no_grad():
        before = part(x)
        part.mixer.out_proj.weight.mul_(2)
        torch.testing.assert_close(part(x), part.layer_by_layer(x), rtol=1e-4, atol=1e-5)
        assert (part(x) - before).abs().max() > 0.01


def test_samples_far_outside_the_grid_are_zero() -> None:
    part, x = block(FUSED["shipped"]), torch.randn(1, 5, 17, 48)
    with torch.no_grad():
        part.mixer.offset.bias.fill_(1e9)
        torch.testing.assert_close(part(x), part.layer_by_layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("at", [(0, 0), (7, 9)], ids=str)
def test_nan_comes_out_where_the_layers_have_it(at: tuple[int, int]) -> None:
    part, x = block(FUSED["shipped"]), torch.randn(2, 12, 17, 48)
    x[(0, *at)] = float("nan")
    with torch.no_grad():
        got, want = part(x), part.layer_by_layer(x)
    assert want[0].isnan().any()
    assert not want[1].isnan().any()
    torch.testing.assert_close(got[1], want[1], rtol=1e-4, atol=1e-5)
    assert (got.isnan() >= want.isnan()).all(), "a number where the layers have none"


@pytest.mark.parametrize("config", LAYERED.values(), ids=LAYERED.keys())
def test_what_the_kernel_does_not_know_goes_through_the_layers(config: BlockConfig) -> None:
    part, x = block(config), torch.randn(1, 5, 17, config.width)
    with torch.no_grad():
        assert not can_fuse(part, x)
        torch.testing.assert_close(part(x), part.layer_by_layer(x))


def test_gradients_go_through_the_layers() -> None:
    part, x = block(FUSED["shipped"]), torch.randn(1, 5, 17, 48, requires_grad=True)
    assert not can_fuse(part, x)
    part(x).sum().backward()
    assert x.grad is not None
    assert not can_fuse(Block(FUSED["shipped"], backend="reference").eval(), x)
    with torch.no_grad():
        assert not can_fuse(part.train(), x)
