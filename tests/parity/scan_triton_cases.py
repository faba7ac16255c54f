"""The Triton kernels compute what the obvious loop computes, gradients included: on a GPU, or in Triton's interpreter.

`test_scan_triton.py` runs these in a process of their own: Triton decides on its first import whether it interprets,
for which TRITON_INTERPRET must be set where there is no GPU.
"""

from __future__ import annotations

import math
import os

import pytest
import torch
from torch import Tensor

from sasmamba.models.blocks import ALL_DIRECTIONS, BlockConfig
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig
from sasmamba.models.scan import resolve, selective_scan

DEVICE = torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda")


@pytest.fixture(autouse=True)
def _small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, so that a few tokens make several, and as many pieces as a test asks for."""
    from sasmamba.models.scan import triton as kernels

    monkeypatch.setattr(kernels, "CHUNK", 8)
    pieces = request.node.callspec.params.get("pieces") if hasattr(request.node, "callspec") else None
    if pieces:
        monkeypatch.setattr(kernels, "piece_length", lambda programs, L, device: math.ceil(L / pieces / 8) * 8)


def case(batch: int, L: int, E: int, K: int, N: int, R: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Inputs as `selective_scan` names them. u, dt, B and C are slices of wider tensors, u with its channels apart."""
    g = torch.Generator().manual_seed(L)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=g).to(DEVICE)

    dt, B, C = normal(batch, L, K, R + 2 * N).to(dtype).split([R, N, N], 3)
    routes = torch.stack([torch.randperm(L, generator=g) for _ in range(K)])
    return {
        "u": normal(batch, E, L + 1).to(dtype).transpose(1, 2)[:, 1:],
        "dt": dt,
        "B": B,
        "C": C,
        "A": -normal(K, E, N).abs() * 2,
        "D": normal(K, E),
        "dt_weight": normal(K, E, R) * 0.3,
        "dt_bias": normal(K, E) - 3,
        "routes": routes.to(DEVICE),
    }


def value_and_gradients(inputs: dict[str, Tensor], backend: str) -> dict[str, Tensor]:
    leaves = {k: v.detach().requires_grad_(v.is_floating_point()) for k, v in inputs.items()}
    y = selective_scan(**leaves, backend=backend)  # type: ignore[arg-type]
    assert y.dtype == inputs["u"].dtype
    probe = torch.cos(torch.arange(y.numel())).bfloat16().view(y.shape).to(y)  # the same in every dtype
    wanted = {k: v for k, v in leaves.items() if v.requires_grad}
    gradients = torch.autograd.grad((y * probe).sum(), list(wanted.values()), allow_unused=True)
    found = {k: torch.zeros_like(v) if g is None else g for (k, v), g in zip(wanted.items(), gradients, strict=True)}
    assert all(found[k].dtype == v.dtype for k, v in wanted.items())
    return {"y": y.detach()} | found


def compare(inputs: dict[str, Tensor], tolerance: dict[torch.dtype, float]) -> None:
    """Against the reference in float64; `tolerance` is relative to the norm, by the dtype of what is compared."""
    exact = value_and_gradients({k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}, "reference")
    for name, got in value_and_gradients(inputs, "triton").items():
        error, norm = (got.double() - exact[name]).norm(), exact[name].norm()
        assert error <= tolerance[got.dtype] * norm + 1e-9, f"{name}: {error / norm:.1e}"


# batch, tokens, channels, routes, states, rank: one of everything, several chunks, several blocks, nothing whole
@pytest.mark.parametrize(
    ("pieces", "shape"),
    [(1, (1, 1, 5, 1, 1, 1)), (1, (2, 21, 20, 3, 3, 5)), (3, (2, 21, 20, 1, 3, 3)), (2, (1, 27, 40, 1, 16, 4))],
)
def test_values_and_gradients_match_the_reference(pieces: int, shape: tuple[int, ...]) -> None:
    compare(case(*shape), {torch.float32: 2e-6})


@pytest.mark.parametrize("pieces", [1, 2])
def test_bfloat16_inputs_are_accumulated_in_float32(pieces: int) -> None:
    """Results are rounded once: bfloat16 keeps 8 bits; parameters stay float32, and so do their gradients."""
    compare(case(2, 13, 6, 2, 3, 2, torch.bfloat16), {torch.bfloat16: 3e-3, torch.float32: 2e-6})


def test_bfloat16_projections_of_a_float32_input() -> None:
    """What autocast hands over."""
    inputs = case(1, 11, 6, 2, 2, 2, torch.bfloat16)
    inputs["u"] = inputs["u"].float()
    compare(inputs, {torch.bfloat16: 3e-3, torch.float32: 2e-6})


def test_the_model_gives_the_same() -> None:
    config = SasMambaConfig(block=BlockConfig(width=8, states=2, directions=ALL_DIRECTIONS), blocks=2, frames=3)
    model, reference = SasMamba(config, "triton").eval(), SasMamba(config, "reference").eval()
    for name, p in model.named_parameters():
        if "offset" in name:  # at whole offsets bilinear sampling has no gradient to compare
            torch.nn.init.normal_(p, std=0.1)
    reference.load_state_dict(model.state_dict())
    model, reference = model.to(DEVICE), reference.to(DEVICE)
    x = torch.randn(1, 2, 17, 2, device=DEVICE)
    got, want = model(x), reference(x)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    for y in (got, want):
        y.square().sum().backward()
    for (name, p), q in zip(model.named_parameters(), reference.parameters(), strict=True):
        if q.grad is not None:
            assert p.grad is not None, name
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.filterwarnings("ignore:Dynamo detected")
def test_torch_compile_takes_it_whole() -> None:
    inputs = case(1, 9, 4, 1, 2, 1)
    want = selective_scan(**inputs, backend="triton")
    compiled = torch.compile(lambda **x: selective_scan(**x, backend="triton"), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(**inputs), want)


def test_nothing_is_kept_where_no_gradient_is_wanted() -> None:
    from sasmamba.models.scan import triton as kernels

    y, checkpoints = kernels._forward(*case(1, 9, 4, 1, 2, 1).values(), False)
    assert checkpoints.numel() == 0
    assert y.shape == (1, 9, 4)


@pytest.mark.parametrize("bad", [-1, 9])
def test_routes_that_leave_the_sequence(bad: int) -> None:
    """Nothing outside is touched, and the result is no number from there on."""
    inputs = case(1, 9, 4, 1, 2, 1)
    inputs["routes"][0, 4] = bad
    y = selective_scan(**inputs, backend="triton")  # type: ignore[arg-type]
    assert y[0, inputs["routes"][0, :4]].isfinite().all()
    assert y[0, inputs["routes"][0, 5:]].isnan().all()


@pytest.mark.skipif(DEVICE.type == "cuda", reason="only without a GPU")
def test_double_precision_is_refused() -> None:
    with pytest.raises(RuntimeError, match="want float32"):
        resolve("triton", torch.device("cpu"), torch.float64)
