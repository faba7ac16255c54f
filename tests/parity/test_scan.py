"""Every implementation of the scan computes what the obvious loop computes, gradients included."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from sasmamba.models import kernels
from sasmamba.models import scan as choice
from sasmamba.models.scan import resolve, selective_scan

NAMES = ("u", "projected", "A", "D", "dt_weight", "dt_bias")
# batch, tokens, channels, routes, states, rank: whole and ragged chunks of sixteen, one and many states
SHAPES = [
    (1, 1, 16, 1, 1, 1),
    (2, 37, 40, 4, 1, 2),
    (1, 101, 128, 4, 16, 4),
    (3, 64, 20, 2, 3, 5),
    (2, 33, 7, 3, 16, 1),
]

needs_native = pytest.mark.skipif(kernels.load()[0] is None, reason=kernels.load()[1])


def case(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[dict[str, Tensor], Tensor]:
    batch, L, E, K, N, R = shape
    g = torch.Generator().manual_seed(sum(shape))

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=g, dtype=dtype)

    inputs = {
        "u": normal(batch, L, E),
        "projected": normal(batch, L, K, R + 2 * N),
        "A": -torch.rand(K, E, N, generator=g, dtype=dtype) * 4,
        "D": normal(K, E),
        "dt_weight": normal(K, E, R) * 0.3,
        "dt_bias": normal(K, E) - 3,
    }
    routes = torch.stack([torch.randperm(L, generator=g) for _ in range(K)])
    return inputs, routes


def scan(inputs: dict[str, Tensor], routes: Tensor, backend: str, contiguous: bool = False) -> Tensor:
    R = inputs["dt_weight"].shape[2]
    N = inputs["A"].shape[2]
    dt, B, C = inputs["projected"].split([R, N, N], 3)
    if contiguous:
        dt, B, C = dt.contiguous(), B.contiguous(), C.contiguous()
    weights = (inputs[n] for n in ("A", "D", "dt_weight", "dt_bias"))
    return selective_scan(inputs["u"], dt, B, C, *weights, routes, backend)  # type: ignore[arg-type]


def value_and_gradients(inputs: dict[str, Tensor], routes: Tensor, backend: str) -> dict[str, Tensor]:
    leaves = {k: v.clone().requires_grad_() for k, v in inputs.items()}
    y = scan(leaves, routes, backend)
    probe = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    # a single token has no past, so no implementation need touch A
    grads = torch.autograd.grad((y * probe).sum(), list(leaves.values()), allow_unused=True)
    filled = (torch.zeros_like(x) if g is None else g for x, g in zip(leaves.values(), grads, strict=True))
    return {"y": y.detach(), **dict(zip(NAMES, filled, strict=True))}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("backend", [pytest.param("native", marks=needs_native), "parallel"])
def test_values_and_gradients_match_the_reference(backend: str, shape: tuple[int, ...]) -> None:
    inputs, routes = case(shape)
    exact = value_and_gradients({k: v.double() for k, v in inputs.items()}, routes, "reference")
    for name, got in value_and_gradients(inputs, routes, backend).items():
        want = exact[name]
        assert (got - want).norm() <= 2e-6 * want.norm() + 1e-9, name


@needs_native
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("batch", [1, 3])
def test_threads_do_not_change_the_result(threads: int, batch: int) -> None:
    inputs, routes = case((batch, 50, 48, 4, 2, 2))
    one = value_and_gradients(inputs, routes, "native")
    torch.set_num_threads(threads)
    for name, got in value_and_gradients(inputs, routes, "native").items():
        torch.testing.assert_close(got, one[name], rtol=1e-5, atol=1e-5)


@needs_native
def test_inputs_of_any_layout_give_the_same() -> None:
    inputs, routes = case((2, 21, 32, 4, 3, 2))
    want = scan(inputs, routes, "native")
    torch.testing.assert_close(scan(inputs, routes, "native", contiguous=True), want)
    turned = dict(inputs, u=inputs["u"].transpose(1, 2).contiguous().transpose(1, 2))
    torch.testing.assert_close(scan(turned, routes, "native"), want)


def test_reference_has_the_gradient_of_its_forward() -> None:
    inputs, routes = case((1, 4, 3, 2, 2, 1), torch.float64)
    leaves = [v.requires_grad_() for v in inputs.values()]
    assert torch.autograd.gradcheck(
        lambda *x: scan(dict(zip(NAMES, x, strict=True)), routes, "reference"), leaves, eps=1e-6, atol=1e-6
    )


def test_reference_against_the_recurrence_by_hand() -> None:
    """One channel, one state, two tokens visited in reverse: two lines of arithmetic."""
    one = torch.ones(1, 1, 1)
    u = torch.tensor([[[2.0], [3.0]]])
    routes = torch.tensor([[1, 0]])
    dt = torch.zeros(1, 2, 1, 1)
    B = C = torch.ones(1, 2, 1, 1)
    bias = torch.log(torch.expm1(torch.tensor([[0.5]])))  # so that Δ = 0.5
    y = selective_scan(u, dt, B, C, -one, torch.tensor([[0.25]]), one, bias, routes, "reference")
    first = 0.5 * 3.0
    second = torch.exp(torch.tensor(-0.5)).item() * first + 0.5 * 2.0
    torch.testing.assert_close(y.flatten(), torch.tensor([second + 0.25 * 2, first + 0.25 * 3]))


@needs_native
@pytest.mark.parametrize("extreme", [-80.0, 30.0, 80.0])
def test_extreme_step_sizes_stay_finite(extreme: float) -> None:
    inputs, routes = case((1, 40, 16, 2, 2, 1))
    inputs["dt_bias"] = torch.full_like(inputs["dt_bias"], extreme)
    for name, got in value_and_gradients(inputs, routes, "native").items():
        assert torch.isfinite(got).all(), name
    torch.testing.assert_close(scan(inputs, routes, "native"), scan(inputs, routes, "reference"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("backend", "dtype", "error", "says"),
    [
        ("nonsense", torch.float32, ValueError, "want one of"),
        ("native", torch.float64, RuntimeError, "want float32 on the CPU"),
        ("triton", torch.float32, RuntimeError, "move the model there"),
        ("mamba_ssm", torch.float32, RuntimeError, "move the model there"),
    ],
)
def test_impossible_choices_are_refused(
    backend: str, dtype: torch.dtype, error: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(error, match=says):
        resolve(backend, torch.device("cpu"), dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("installed", "dtype", "want"),
    [
        ({"triton", "mamba_ssm"}, torch.bfloat16, "triton"),
        ({"mamba_ssm"}, torch.float32, "mamba_ssm"),
        (set(), torch.float32, "parallel"),
        ({"triton", "mamba_ssm"}, torch.float64, "parallel"),
    ],
)
def test_what_a_gpu_gets(installed: set[str], dtype: torch.dtype, want: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_PACKAGES", {name: name in installed for name in ("triton", "mamba_ssm")})
    assert resolve("auto", torch.device("cuda"), dtype) == want
    for missing in {"triton", "mamba_ssm"} - installed:
        with pytest.raises(RuntimeError, match="pip install"):
            resolve(missing, torch.device("cuda"), dtype)  # type: ignore[arg-type]


@needs_native
def test_what_a_cpu_gets() -> None:
    assert resolve("auto", torch.device("cpu"), torch.float32) == "native"
    assert resolve("auto", torch.device("cpu"), torch.float64) == "reference"


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what "auto" means, no more; a name that is none, or that cannot run here, is an error that names it."""
    cpu = torch.device("cpu")
    monkeypatch.setattr(choice, "_WANTED", "parallel")
    assert resolve("auto", cpu, torch.float32) == "parallel"
    assert resolve("reference", cpu, torch.float32) == "reference"
    monkeypatch.setattr(choice, "_WANTED", "fast")
    with pytest.raises(ValueError, match=r"SASMAMBA_SCAN: want one of .* got 'fast'"):
        resolve("auto", cpu, torch.float32)
    monkeypatch.setattr(choice, "_WANTED", "mamba_ssm")
    with pytest.raises(RuntimeError, match="SASMAMBA_SCAN=mamba_ssm: want tensors on a GPU"):
        resolve("auto", cpu, torch.float32)


def test_the_variable_is_read() -> None:
    code = "from sasmamba.models.scan import choose; import torch; print(*choose(torch.device('cpu'), torch.float32))"
    environment = os.environ | {"SASMAMBA_SCAN": "reference"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "reference SASMAMBA_SCAN says so\n"


def change(inputs: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The same inputs with one tensor a row short."""
    return dict(inputs, **{name: inputs[name][:-1]})


@pytest.mark.parametrize("backend", [pytest.param("native", marks=needs_native), "reference"])
@pytest.mark.parametrize("name", NAMES)
def test_shapes_that_do_not_fit_are_refused(name: str, backend: str) -> None:
    inputs, routes = case((2, 5, 4, 2, 1, 1))
    with pytest.raises(ValueError, match="want"):
        scan(change(inputs, name), routes, backend)


@needs_native
@pytest.mark.parametrize("bad", [-1, 5, 10**12])
def test_routes_that_leave_the_sequence_are_refused(bad: int) -> None:
    inputs, routes = case((2, 5, 4, 2, 1, 1))
    for broken in (routes.masked_fill(routes == 3, bad), routes[:, :4], routes.int()):
        with pytest.raises(ValueError, match="routes: want"):
            scan(inputs, broken, "native")
