"""The selective scan over several routes: one function, several implementations, one choice.

`reference` is the obvious loop that the others are tested against, `native` the compiled CPU kernel, `triton` the GPU
kernels, `mamba_ssm` the CUDA kernel of that package, `parallel` log-depth PyTorch for GPUs that have neither.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from sasmamba.models import kernels
from sasmamba.models.scan.mamba import selective_scan_mamba
from sasmamba.models.scan.native import selective_scan_native
from sasmamba.models.scan.parallel import selective_scan_parallel
from sasmamba.models.scan.reference import selective_scan_reference

Backend = Literal["auto", "reference", "native", "parallel", "triton", "mamba_ssm"]

#: What "auto" means where the user says so; read once, when the program starts.
_WANTED = os.environ.get("SASMAMBA_SCAN") or "auto"
#: The packages of two backends, installed or not; looked up here because torch.compile cannot follow the search.
_PACKAGES = {name: importlib.util.find_spec(name) is not None for name in ("triton", "mamba_ssm")}


def _triton(*inputs: Tensor) -> Tensor:
    from sasmamba.models.scan.triton import selective_scan_triton  # takes a while, and not every machine has it

    return selective_scan_triton(*inputs)


_IMPLEMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "reference": selective_scan_reference,
    "native": selective_scan_native,
    "parallel": selective_scan_parallel,
    "triton": _triton,
    "mamba_ssm": selective_scan_mamba,
}


def _obstacle(name: str, device: torch.device, dtype: torch.dtype) -> str:
    """Why an implementation cannot run on tensors of this device and dtype, and what to do; nothing where it can."""
    if name == "native":
        library, sentence = kernels.load()
        if device.type != "cpu" or dtype != torch.float32:
            return f"want float32 on the CPU, got {dtype} on {device}; {sentence}"
        return "" if library is not None else sentence
    if name in _PACKAGES:
        interpreted = name == "triton" and os.environ.get("TRITON_INTERPRET") == "1"
        if device.type != "cuda" and not interpreted:
            return f"want tensors on a GPU, got {device}; move the model there, or take another backend"
        if dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return f"want float32, bfloat16 or float16, got {dtype}"
        return "" if _PACKAGES[name] else f"not installed; pip install {name.replace('_', '-')}, built for this torch"
    return ""


def choose(device: torch.device, dtype: torch.dtype) -> tuple[str, str]:
    """What "auto" means for tensors of this device and dtype, and why.

    Raises:
        ValueError: SASMAMBA_SCAN is none of the names.
        RuntimeError: SASMAMBA_SCAN names one that cannot run here.
    """
    if _WANTED not in get_args(Backend):
        raise ValueError(f"SASMAMBA_SCAN: want one of {', '.join(get_args(Backend))}, got {_WANTED!r}")
    if _WANTED != "auto":
        if obstacle := _obstacle(_WANTED, device, dtype):
            raise RuntimeError(f"SASMAMBA_SCAN={_WANTED}: {obstacle}")
        return _WANTED, "SASMAMBA_SCAN says so"
    if device.type == "cpu":
        if _obstacle("native", device, dtype):
            return "reference", "the native kernels cannot run"
        return "native", "compiled kernel"
    if not (triton := _obstacle("triton", device, dtype)):
        return "triton", "fused GPU kernels"
    if not (mamba := _obstacle("mamba_ssm", device, dtype)):
        return "mamba_ssm", f"triton: {triton}"
    return "parallel", f"triton: {triton}; mamba_ssm: {mamba}"


def resolve(backend: Backend, device: torch.device, dtype: torch.dtype) -> str:
    """The implementation that `backend` means for tensors of this device and dtype.

    Raises:
        ValueError: an unknown name, here or in SASMAMBA_SCAN.
        RuntimeError: one was asked for that cannot run here; the message says what to do.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"scan backend: want one of {', '.join(get_args(Backend))}, got {backend!r}")
    if backend == "auto":
        return choose(device, dtype)[0]
    if obstacle := _obstacle(backend, device, dtype):
        raise RuntimeError(f"scan backend {backend}: {obstacle}")
    return backend


def selective_scan(
    u: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    A: Tensor,
    D: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    routes: Tensor,
    backend: Backend = "auto",
) -> Tensor:
    """Scans the tokens along K routes and sums the results (Mamba's S6; SasMamba Eq. 6 and 15).

    Along each route k: Δ_l = softplus(dt_weight_k dt_l + dt_bias_k), h_l = exp(Δ_l A_k) h_{l-1} + Δ_l B_l u_l,
    y_l = C_l · h_l + D_k u_l.

    Args:
        u: (batch, L, E) input, tokens in storage order.
        dt: (batch, L, K, R) low-rank step sizes of each token on each route.
        B, C: (batch, L, K, N) input and output maps.
        A: (K, E, N), negative.
        D: (K, E) skip.
        dt_weight: (K, E, R).
        dt_bias: (K, E).
        routes: (K, L) int64, routes[k, i] is the token that route k visits i-th; each row a permutation.
        backend: which implementation; "auto" takes the fastest that can run here, or what SASMAMBA_SCAN names.

    Returns:
        (batch, L, E), the sum over routes, in storage order.

    Raises:
        ValueError: shapes that do not fit each other, or routes that leave the sequence (triton makes NaN of these).
        RuntimeError: an implementation that cannot run here.
    """
    (batch, L, E), (K, R), N = u.shape, dt.shape[2:], A.shape[-1]
    for name, tensor, shape in (
        ("dt", dt, (batch, L, K, R)),
        ("B", B, (batch, L, K, N)),
        ("C", C, (batch, L, K, N)),
        ("A", A, (K, E, N)),
        ("D", D, (K, E)),
        ("dt_weight", dt_weight, (K, E, R)),
        ("dt_bias", dt_bias, (K, E)),
        ("routes", routes, (K, L)),
    ):
        if tensor.shape != shape:
            raise ValueError(f"selective_scan: {name}: want {shape}, got {tuple(tensor.shape)}")
    if routes.dtype != torch.int64:
        raise ValueError(f"selective_scan: routes: want int64, got {routes.dtype}")
    run = _IMPLEMENTATIONS[resolve(backend, u.device, u.dtype)]
    return run(u, dt, B, C, A, D, dt_weight, dt_bias, routes)
