"""SasMamba is the paper's: its parameter counts, its shapes, its switches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sasmamba.models.blocks import ALL_DIRECTIONS, Block, BlockConfig, _hold, routes_of
from sasmamba.models.sasmamba import SASMAMBA, SASMAMBA_L, SasMamba, SasMambaConfig, count_parameters

LEAN = SasMambaConfig(block=BlockConfig(width=16, states=2), blocks=4, frames=27)


@pytest.mark.parametrize(
    ("config", "counted", "every", "published"),
    [(SASMAMBA, 637_751, 962_871, 0.64e6), (SASMAMBA_L, 4_187_499, 5_618_539, 4.1e6)],
    ids=["S", "L"],
)
def test_parameter_counts(config: SasMambaConfig, counted: int, every: int, published: float) -> None:
    """To the parameter by the arithmetic of the architecture, and what Table 1 prints of it."""
    assert count_parameters(SasMamba(config)) == (counted, every)
    assert counted == pytest.approx(published, rel=0.025)


def test_structure_aware_convolution_costs_what_table_5_says() -> None:
    """K = 3 against K = 1: 20.75 k parameters a block, the offset convolution alone."""
    without = SasMamba(replace(SASMAMBA, block=replace(SASMAMBA.block, taps_side=1)))
    difference = count_parameters(SasMamba(SASMAMBA))[0] - count_parameters(without)[0]
    assert difference / SASMAMBA.blocks == pytest.approx(20.75e3, rel=0.001)


VARIANTS = {
    "K=1": {"taps_side": 1},
    "K=5": {"taps_side": 5},
    "no SA-conv": {"local": "depthwise"},
    "no stride": {"scan_input": "plain"},
    "summed strides": {"scan_input": "stride_sum"},
    "limb scan": {"scan_input": "limb"},
    "spatial forward": {"directions": ("spatial_forward",)},
    "temporal": {"directions": ("temporal_forward", "temporal_backward")},
    "summed strides, temporal": {"scan_input": "stride_sum", "directions": ("temporal_forward",)},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("T", [1, 10, 27])
def test_every_variant_runs_learns_and_agrees_with_the_reference(variant: dict, T: int) -> None:
    config = replace(LEAN, block=replace(LEAN.block, **variant), drop_path=0.0)
    model, slow = SasMamba(config), SasMamba(config, backend="reference")
    slow.load_state_dict(model.state_dict())
    for part in (*model.blocks, *slow.blocks):
        if hasattr(part.mixer, "offset"):
            torch.nn.init.constant_(part.mixer.offset.bias, 0.3)
    x = torch.randn(2, T, 17, 2)
    y = model(x)
    assert y.shape == (2, T, 17, 3)
    torch.testing.assert_close(y, slow(x), rtol=1e-3, atol=1e-4)
    y.square().mean().backward()
    # what a one-frame clip or the chosen routes leave out has no gradient to give; nothing else may lack one
    silent = [n for n, p in model.named_parameters() if p.grad is None]
    assert not silent, silent
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_every_frame_and_joint_can_reach_every_other() -> None:
    """All four directions: the first output depends on the last frame and the other way round."""
    model = SasMamba(replace(LEAN, drop_path=0.0)).eval()
    x = torch.randn(1, 27, 17, 2, requires_grad=True)
    y = model(x)
    for out, far in ((y[0, 0, 0], (26, 16)), (y[0, 26, 16], (0, 0))):
        (grad,) = torch.autograd.grad(out.sum(), x, retain_graph=True)
        assert grad[0, far[0], far[1]].abs().max() > 0


def test_routes_visit_every_token_once_in_the_named_order() -> None:
    routes = routes_of(3, 2, ALL_DIRECTIONS, torch.device("cpu"))
    assert routes.tolist() == [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [0, 2, 4, 1, 3, 5], [5, 3, 1, 4, 2, 0]]


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_stride_holds_the_joint_before(stride: int) -> None:
    """Equation 13: joint v reads joint ⌊v / s⌋ · s."""
    x = torch.arange(17.0).view(1, 1, 17, 1)
    assert _hold(x, stride).flatten().tolist() == [v // stride * stride for v in range(17)]


def test_a_model_that_has_inferred_can_still_learn() -> None:
    """What inference caches must not poison autograd."""
    model = SasMamba(LEAN)
    x = torch.randn(1, 13, 17, 2)
    with torch.inference_mode():
        model(x)
    model(x).sum().backward()


def test_drop_path_only_acts_in_training() -> None:
    block = Block(LEAN.block, drop_path=0.999)
    x = torch.randn(4, 3, 17, 16)
    assert torch.equal(block.train()(x), x)
    assert not torch.equal(block.eval()(x), x)


def test_recomputing_changes_memory_alone() -> None:
    """Same loss and gradients, drop path included, from a fraction of the tensors held for the way back."""
    model = SasMamba(replace(LEAN, blocks=6, drop_path=0.5)).train()
    x = torch.randn(3, 9, 17, 2)
    results = []
    for model.recompute in (False, True):
        held: dict[int, int] = {}

        def hold(t: torch.Tensor, held: dict[int, int] = held) -> torch.Tensor:
            held[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        torch.manual_seed(5)
        model.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(hold, lambda t: t):
            loss = model(x).square().mean()
        loss.backward()
        results.append((loss.detach(), [p.grad for p in model.parameters()], sum(held.values())))
    (loss, grads, whole), (loss_again, grads_again, part) = results
    assert torch.equal(loss, loss_again)
    for a, b in zip(grads, grads_again, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert part < 0.2 * whole, (part, whole)


@pytest.mark.parametrize("shape", [(1, 28, 17, 2), (1, 5, 16, 2), (1, 5, 17, 3), (1, 0, 17, 2), (5, 17, 2)], ids=str)
def test_windows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="window: want"):
        SasMamba(LEAN)(torch.zeros(shape))


@pytest.mark.parametrize(
    "bad",
    [
        {"taps_side": 2},
        {"local": "x"},
        {"scan_input": "x"},
        {"directions": ()},
        {"width": 15},
        {"directions": ("temporal_forward", "spatial_forward")},
    ],
    ids=str,
)
def test_unknown_block_settings_are_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match="want"):
        BlockConfig(**bad)
