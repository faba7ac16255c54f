"""The compiled structure-aware convolution computes what grid_sample and conv2d compute; those are PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sasmamba.models import kernels
from sasmamba.models.sampling import structure_aware_conv

needs_native = pytest.mark.skipif(kernels.load()[0] is None, reason=kernels.load()[1])
NAMES = ("x", "offset", "deform", "plain", "bias")
# batch, frames, joints, channels, K
SHAPES = [
    (2, 7, 17, 40, 3),
    (1, 1, 17, 64, 3),
    (3, 5, 17, 32, 1),
    (2, 6, 17, 24, 5),
    (1, 4, 3, 5, 3),
    (1, 4, 17, 16, 0),
]


def case(shape: tuple[int, ...], spread: float = 1.5) -> list[Tensor]:
    batch, T, V, E, side = shape
    g = torch.Generator().manual_seed(sum(shape))
    sizes = [(batch, T, V, E), (batch, T, V, side * side, 2), (side * side, E), (9, E), (E,)]
    tensors = [torch.randn(s, generator=g) for s in sizes]
    tensors[1] *= spread
    return tensors


def run(tensors: list[Tensor], reference: bool) -> list[Tensor]:
    leaves = [t.clone().requires_grad_() for t in tensors]
    y = structure_aware_conv(*leaves, reference=reference)
    probe = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    grads = torch.autograd.grad((y * probe).sum(), leaves, allow_unused=True)
    return [y.detach(), *(torch.zeros_like(t) if g is None else g for g, t in zip(grads, leaves, strict=True))]


@needs_native
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_match_the_reference(shape: tuple[int, ...], threads: int) -> None:
    tensors = case(shape)
    torch.set_num_threads(threads)
    exact = run([t.double() for t in tensors], reference=True)
    for name, got, want in zip(("y", *NAMES), run(tensors, reference=False), exact, strict=True):
        assert (got - want).norm() <= 3e-6 * want.norm() + 1e-9, name


@needs_native
def test_samples_far_outside_the_grid_are_zero() -> None:
    tensors = case((1, 3, 17, 16, 3))
    tensors[1] = torch.full_like(tensors[1], 1e9)
    tensors[3].zero_()
    tensors[4].zero_()
    assert structure_aware_conv(*tensors).abs().max() == 0


def test_without_offsets_it_is_an_ordinary_convolution() -> None:
    """With zero offsets the nine taps are a 3×3 depthwise convolution of their own."""
    x, offset, deform, plain, bias = case((2, 6, 17, 8, 3))
    y = structure_aware_conv(x, torch.zeros_like(offset), deform, plain, bias)
    weight = (deform + plain).T.reshape(8, 1, 3, 3)
    want = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1, groups=8).permute(0, 2, 3, 1)
    torch.testing.assert_close(y, want, rtol=1e-4, atol=1e-4)


def test_a_whole_offset_moves_the_tap() -> None:
    """One frame later and one joint further: the tap reads exactly that token."""
    x, offset, deform, plain, bias = case((1, 5, 17, 4, 1))
    offset[..., 0], offset[..., 1] = 1.0, 1.0
    y = structure_aware_conv(x, offset, deform, torch.zeros_like(plain), torch.zeros_like(bias))
    torch.testing.assert_close(y[0, :4, :16], x[0, 1:, 1:] * deform[0])
    assert y[0, 4].abs().max() == 0


def test_reference_has_the_gradient_of_its_forward() -> None:
    tensors = [t.double().requires_grad_() for t in case((1, 2, 3, 2, 3), spread=0.3)]
    assert torch.autograd.gradcheck(lambda *t: structure_aware_conv(*t, reference=True), tensors, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("index", range(1, 5), ids=NAMES[1:])
def test_shapes_that_do_not_fit_are_refused(index: int) -> None:
    tensors = case((2, 3, 17, 8, 3))
    tensors[index] = tensors[index][..., :-1]
    with pytest.raises(ValueError, match="want"):
        structure_aware_conv(*tensors)
