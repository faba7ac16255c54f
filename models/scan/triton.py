"""The selective scan as Triton kernels for GPUs, forward and backward, accumulated in float32.

Longer than other files, since each backward kernel stands beside the forward one that it mirrors line by line.

Source: Mamba (Gu & Dao 2023), Algorithm 2 and Section 3.3: the states never leave the registers, the backward pass
computes them again. A program scans one block of channels of one route, one token after another; it follows the route
by index, so no flipped or transposed copy is made, and turns the low-rank dt into Δ as it goes.

A scan of one window has too few channels to fill a GPU, so the sequence is also cut into pieces: every piece is
scanned from zero, the ends are carried from piece to piece (a piece multiplies the state by exp(A ΣΔ), so only ΣΔ
need be kept), then every piece is scanned again from its true start. That doubles the exponentials, the scarce thing
here, so pieces are cut only where a GPU would idle without.

Sums over routes and over blocks of channels go through buffers that are added up afterwards, not through atomics, so
that results are the same every time. Atomics would send as many values to the cache; reading the buffer of the four
routes again is, counted and not measured, a sixth to a third of the exponentials' time forward and less backward.
"""

# mypy: allow-untyped-defs
# (the compiler of the kernels reads their annotations, and knows its own alone)

from __future__ import annotations

import functools
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: The backward pass starts from states kept every so many tokens. Fewer cost more memory between the passes, more
#: cost scratch memory in the backward pass; this many is about one activation of the block.
CHUNK = 64
#: Within a chunk, states and decays of so many tokens are held in registers at once; a larger number spills.
GROUP = 2
#: Programs per multiprocessor below which a sequence is cut into pieces, and up to how many: one warp for each of the
#: four schedulers, or four to hide the latency of the recurrence. Reasoned; benchmarks/gpu.py --tune measures.
FEW, ENOUGH = 4, 16
#: Channels of a program, which is one warp: 16 states of 32 channels are 16 registers a thread. The compiler lays a
#: warp out as 4 × 8 threads of 4 × 4 cells, so that sums over states and sums over channels are both cheap.
WIDTH = 32
#: How many tokens ahead inputs are fetched.
STAGES = 3

_LOG2_E = tl.constexpr(1.4426950408889634)
_LN_2 = tl.constexpr(0.6931471805599453)
_NAN = tl.constexpr(float("nan"))


@triton.jit
def _softplus(x):
    """ln(1 + e^x) and its slope.

    ln(1 + t) = 2 artanh(t / (2 + t)), by its series: ln of a sum would lose the small steps that a slow state takes.
    """
    t = tl.exp2(-tl.abs(x) * _LOG2_E)
    s = t / (2 + t)
    q = s * s  # at most 1/9
    tail = 1 / 9 + q * (1 / 11 + q * (1 / 13 + q * (1 / 15 + q / 17)))
    value = tl.maximum(x, 0) + 2 * s * (1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * tail))))
    return value, tl.where(x >= 0, 1.0, t) / (1 + t)


@triton.jit
def _parameters(A, weight, bias, k, e, E, N, R, STATES: tl.constexpr, RANK: tl.constexpr):
    """A log2(e) (STATES, WIDTH), dt_weight (RANK, WIDTH) and dt_bias (WIDTH,) of a route; zero where there is none."""
    n, r, fits = tl.arange(0, STATES)[:, None], tl.arange(0, RANK)[:, None], e < E
    row = k * E + e
    rate = tl.load(A + row * N + n, mask=fits & (n < N), other=0).to(tl.float32)
    w = tl.load(weight + row * R + r, mask=fits & (r < R), other=0).to(tl.float32)
    return rate * _LOG2_E, w, tl.load(bias + row, mask=fits, other=0).to(tl.float32)


@triton.jit
def _column(base, stride, length, exists, LENGTH: tl.constexpr):
    """(LENGTH, 1) values of one token on one route, zero beyond `length`."""
    i = tl.arange(0, LENGTH)
    return tl.load(base + i * stride, mask=(i < length) & exists, other=0).to(tl.float32)[:, None]


@triton.jit
def _step(dt, dt_r, R, exists, w, offset, missing, RANK: tl.constexpr):
    """Δ (WIDTH,) of one token, the slope of its softplus, and dt itself (RANK, 1); `missing` where there is none."""
    low = _column(dt, dt_r, R, exists, RANK)
    delta, slope = _softplus(tl.sum(w * low, 0) + offset)
    return tl.where(exists, delta, missing), slope, low


@triton.jit
def _ends_kernel(
    x,
    x_b,
    x_l,
    x_e,
    dt,
    dt_b,
    dt_l,
    dt_k,
    dt_r,
    M,
    M_b,
    M_l,
    M_k,
    M_n,
    A,
    weight,
    bias,
    routes,
    ends,
    total,
    L,
    E,
    N,
    R,
    K,
    length,
    REVERSE: tl.constexpr,
    STATES: tl.constexpr,
    RANK: tl.constexpr,
    WIDTH: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Scans every piece from zero: h ← decay h + Δ x M, or in REVERSE h ← decay (h + x M). Keeps the last h and ΣΔ."""
    blocks = tl.cdiv(E, WIDTH)
    bk = (tl.program_id(0) // blocks).to(tl.int64)
    b, k = bk // K, bk % K
    x, dt, M, routes = x + b * x_b, dt + b * dt_b + k * dt_k, M + b * M_b + k * M_k, routes + k * L
    e = tl.program_id(0) % blocks * WIDTH + tl.arange(0, WIDTH)
    fits = e < E
    rate, w, offset = _parameters(A, weight, bias, k, e, E, N, R, STATES, RANK)
    first = tl.program_id(1) * length
    last = tl.minimum(first + length, L)
    h = tl.zeros((STATES, WIDTH), tl.float32)
    steps = tl.zeros((WIDTH,), tl.float32)
    for i in tl.range(first, last, num_stages=STAGES):
        token = tl.load(routes + (first + last - 1 - i if REVERSE else i))
        exists = (token >= 0) & (token < L)
        value = tl.load(x + token * x_l + e * x_e, mask=fits & exists, other=0).to(tl.float32)
        delta, _, _ = _step(dt + token * dt_l, dt_r, R, exists, w, offset, _NAN, RANK)
        column = _column(M + token * M_l, M_n, N, exists, STATES)
        decay = tl.exp2(delta * rate)
        h = decay * (h + value * column) if REVERSE else decay * h + delta * value * column
        steps += delta
    piece = bk * tl.num_programs(1) + tl.program_id(1)
    n = tl.arange(0, STATES)[:, None]
    tl.store(ends + (piece * N + n) * E + e, h, mask=fits & (n < N))
    tl.store(total + piece * E + e, steps, mask=fits)


@triton.jit
def _carry_kernel(ends, total, A, E, N, K, pieces, REVERSE: tl.constexpr, BLOCK: tl.constexpr, STAGES: tl.constexpr):
    """Replaces what each piece ends with by what it starts with; in REVERSE, by what comes back to its last token."""
    bk = tl.program_id(0).to(tl.int64)
    cell = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    fits = cell < N * E
    n, e = cell // E, cell % E
    rate = tl.load(A + ((bk % K) * E + e) * N + n, mask=fits, other=0).to(tl.float32) * _LOG2_E
    h = tl.zeros((BLOCK,), tl.float32)
    for i in tl.range(0, pieces, num_stages=STAGES):
        piece = bk * pieces + (pieces - 1 - i if REVERSE else i)
        own = tl.load(ends + piece * N * E + cell, mask=fits, other=0)
        steps = tl.load(total + piece * E + e, mask=fits, other=0)
        tl.store(ends + piece * N * E + cell, h, mask=fits)
        h = tl.exp2(rate * steps) * h + own


@triton.jit
def _forward_kernel(
    u,
    u_b,
    u_l,
    u_e,
    dt,
    dt_b,
    dt_l,
    dt_k,
    dt_r,
    B,
    B_b,
    B_l,
    B_k,
    B_n,
    C,
    C_b,
    C_l,
    C_k,
    C_n,
    A,
    D,
    weight,
    bias,
    routes,
    starts,
    checkpoints,
    y,
    batch,
    L,
    E,
    N,
    R,
    K,
    length,
    PIECES: tl.constexpr,
    KEEP: tl.constexpr,
    CHUNK: tl.constexpr,
    STATES: tl.constexpr,
    RANK: tl.constexpr,
    WIDTH: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Scans every piece from its start into y (K, batch, L, E); with KEEP, keeps h at the start of every chunk."""
    blocks = tl.cdiv(E, WIDTH)
    bk = (tl.program_id(0) // blocks).to(tl.int64)
    b, k = bk // K, bk % K
    u, dt, routes = u + b * u_b, dt + b * dt_b + k * dt_k, routes + k * L
    B, C, y = B + b * B_b + k * B_k, C + b * C_b + k * C_k, y + (k * batch + b) * L * E
    e = tl.program_id(0) % blocks * WIDTH + tl.arange(0, WIDTH)
    fits = e < E
    rate, w, offset = _parameters(A, weight, bias, k, e, E, N, R, STATES, RANK)
    skip = tl.load(D + k * E + e, mask=fits, other=0).to(tl.float32)
    n = tl.arange(0, STATES)[:, None]
    cell = n * E + e
    whole = fits & (n < N)
    h = tl.zeros((STATES, WIDTH), tl.float32)
    if PIECES:
        h = tl.load(starts + (bk * tl.num_programs(1) + tl.program_id(1)) * N * E + cell, mask=whole, other=0)
    first = tl.program_id(1) * length
    last = tl.minimum(first + length, L)
    for chunk in tl.range(first // CHUNK, tl.cdiv(last, CHUNK)):
        if KEEP:
            tl.store(checkpoints + (bk * tl.cdiv(L, CHUNK) + chunk) * N * E + cell, h, mask=whole)
        for l in tl.range(chunk * CHUNK, tl.minimum((chunk + 1) * CHUNK, last), num_stages=STAGES):
            token = tl.load(routes + l)
            exists = (token >= 0) & (token < L)
            value = tl.load(u + token * u_l + e * u_e, mask=fits & exists, other=0).to(tl.float32)
            delta, _, _ = _step(dt + token * dt_l, dt_r, R, exists, w, offset, _NAN, RANK)
            B_column = _column(B + token * B_l, B_n, N, exists, STATES)
            C_column = _column(C + token * C_l, C_n, N, exists, STATES)
            h = tl.exp2(delta * rate) * h + delta * value * B_column
            tl.store(y + token * E + e, tl.sum(h * C_column, 0) + skip * value, mask=fits & exists)


@triton.jit
def _backward_kernel(
    u,
    u_b,
    u_l,
    u_e,
    dt,
    dt_b,
    dt_l,
    dt_k,
    dt_r,
    B,
    B_b,
    B_l,
    B_k,
    B_n,
    C,
    C_b,
    C_l,
    C_k,
    C_n,
    A,
    D,
    weight,
    bias,
    routes,
    dy,
    dy_b,
    dy_l,
    dy_e,
    returns,
    checkpoints,
    scratch,
    du,
    d_dt,
    dB,
    dC,
    dA,
    dD,
    d_weight,
    d_bias,
    batch,
    L,
    E,
    N,
    R,
    K,
    length,
    PIECES: tl.constexpr,
    CHUNK: tl.constexpr,
    GROUP: tl.constexpr,
    STATES: tl.constexpr,
    RANK: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Walks every piece back, chunk by chunk: states from the chunk's checkpoint forward, then gradients from its end.

    One state per group of tokens goes to a scratch that the program owns and uses again for every chunk, so memory
    grows with the number of programs and not with (batch, K, L, E, N); the states of one group are held in registers.
    """
    blocks = tl.cdiv(E, WIDTH)
    block = tl.program_id(0) % blocks
    bk = (tl.program_id(0) // blocks).to(tl.int64)
    b, k = bk // K, bk % K
    piece, pieces = tl.program_id(1), tl.num_programs(1)
    u, dt, dy, routes = u + b * u_b, dt + b * dt_b + k * dt_k, dy + b * dy_b, routes + k * L
    B, C, du = B + b * B_b + k * B_k, C + b * C_b + k * C_k, du + (k * batch + b) * L * E
    e = block * WIDTH + tl.arange(0, WIDTH)
    fits = e < E
    rate, w, offset = _parameters(A, weight, bias, k, e, E, N, R, STATES, RANK)
    skip = tl.load(D + k * E + e, mask=fits, other=0).to(tl.float32)
    n, r = tl.arange(0, STATES), tl.arange(0, RANK)
    cell = n[:, None] * E + e
    whole = fits & (n[:, None] < N)
    SIZE: tl.constexpr = STATES * WIDTH
    LAST: tl.constexpr = CHUNK // GROUP - 1
    scratch += (tl.program_id(0).to(tl.int64) * pieces + piece) * (LAST + 1) * SIZE
    scratch += n[:, None] * WIDTH + tl.arange(0, WIDTH)

    back = tl.zeros((STATES, WIDTH), tl.float32)  # the gradient of the state that the token after passes back
    if PIECES:
        back = tl.load(returns + (bk * pieces + piece) * N * E + cell, mask=whole, other=0)
    sum_A = tl.zeros((STATES, WIDTH), tl.float32)
    sum_D = tl.zeros((WIDTH,), tl.float32)
    sum_bias = tl.zeros((WIDTH,), tl.float32)
    sum_weight = tl.zeros((RANK, WIDTH), tl.float32)
    first = piece * length // CHUNK
    after = tl.cdiv(tl.minimum((piece + 1) * length, L), CHUNK)
    for done in tl.range(0, after - first):
        chunk = after - 1 - done
        h = tl.load(checkpoints + (bk * tl.cdiv(L, CHUNK) + chunk) * N * E + cell, mask=whole, other=0)
        for group in tl.range(0, LAST):
            tl.store(scratch + group * SIZE, h)
            for i in tl.static_range(GROUP):
                l = chunk * CHUNK + group * GROUP + i
                token = tl.load(routes + l, mask=l < L, other=-1)
                exists = (token >= 0) & (token < L)
                value = tl.load(u + token * u_l + e * u_e, mask=fits & exists, other=0).to(tl.float32)
                delta, _, _ = _step(dt + token * dt_l, dt_r, R, exists, w, offset, 0.0, RANK)
                B_column = _column(B + token * B_l, B_n, N, exists, STATES)
                h = tl.exp2(delta * rate) * h + delta * value * B_column
        tl.store(scratch + LAST * SIZE, h)
        tl.debug_barrier()  # what one thread stored another may load
        for walked in tl.range(0, LAST + 1):
            group = LAST - walked
            h = tl.load(scratch + group * SIZE)
            befores, decays, inputs = (), (), ()  # type: tuple, tuple, tuple
            for i in tl.static_range(GROUP):
                l = chunk * CHUNK + group * GROUP + i
                token = tl.load(routes + l, mask=l < L, other=-1)
                exists = (token >= 0) & (token < L)
                value = tl.load(u + token * u_l + e * u_e, mask=fits & exists, other=0).to(tl.float32)
                delta, slope, dt_column = _step(dt + token * dt_l, dt_r, R, exists, w, offset, 0.0, RANK)
                B_column = _column(B + token * B_l, B_n, N, exists, STATES)
                decay = tl.exp2(delta * rate)
                befores += (h,)
                decays += (decay,)
                inputs += ((token, exists, value, delta, slope, dt_column, B_column),)
                h = decay * h + delta * value * B_column
            for i in tl.static_range(GROUP - 1, -1, -1):
                token, exists, value, delta, slope, dt_column, B_column = inputs[i]
                g = tl.load(dy + token * dy_l + e * dy_e, mask=fits & exists, other=0).to(tl.float32)
                C_column = _column(C + token * C_l, C_n, N, exists, STATES)
                past = decays[i] * befores[i]
                drive = delta * value
                dh = back + g * C_column
                back = decays[i] * dh
                at = ((block * batch + b) * L + token) * K + k
                states = (n < N) & exists
                tl.store(dB + at * N + n, tl.sum(dh * drive, 1), mask=states)
                tl.store(dC + at * N + n, tl.sum(g * (past + drive * B_column), 1), mask=states)
                d_exponent = dh * past
                sum_A += d_exponent * delta
                d_drive = tl.sum(dh * B_column, 0)
                tl.store(du + token * E + e, g * skip + d_drive * delta, mask=fits & exists)
                d_raw = (tl.sum(d_exponent * rate, 0) * _LN_2 + d_drive * value) * slope
                ranks = (r < R) & exists
                tl.store(d_dt + at * R + r, tl.sum(d_raw * w, 1), mask=ranks)
                sum_D += g * value
                sum_bias += d_raw
                sum_weight += d_raw * dt_column
        tl.debug_barrier()  # before the scratch is used again
    row = ((b * pieces + piece) * K + k) * E + e
    tl.store(dA + row * N + n[:, None], sum_A, mask=whole)
    tl.store(dD + row, sum_D, mask=fits)
    tl.store(d_bias + row, sum_bias, mask=fits)
    ranks = fits & (r[:, None] < R)
    tl.store(d_weight + row * R + r[:, None], sum_weight, mask=ranks)


@functools.lru_cache(maxsize=16)
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def piece_length(programs: int, L: int, device: torch.device) -> int:
    """Tokens of a piece, whole chunks, when `programs` scan L tokens each; one piece for all where that is plenty."""
    processors = _multiprocessors(device)
    pieces = 1 if programs >= FEW * processors else ENOUGH * processors // programs
    return triton.cdiv(triton.cdiv(L, pieces), CHUNK) * CHUNK


def _sizes(u: Tensor, A: Tensor, dt_weight: Tensor) -> tuple[int, int, int, int, int, int]:
    return (*u.shape, *A.shape[::2], dt_weight.shape[2])  # batch, L, E, K, N, R


def _ends(
    x: Tensor,
    dt: Tensor,
    M: Tensor,
    A: Tensor,
    weight: Tensor,
    bias: Tensor,
    routes: Tensor,
    length: int,
    reverse: bool,
) -> Tensor:
    """What every piece starts with, (batch · K, pieces, N, E): the state, or in reverse its gradient."""
    batch, L, E, K, N, R = _sizes(x, A, weight)
    pieces = triton.cdiv(L, length)
    ends = x.new_empty(batch * K, pieces, N, E, dtype=torch.float32)
    total = x.new_empty(batch * K, pieces, E, dtype=torch.float32)
    _ends_kernel[(batch * K * triton.cdiv(E, WIDTH), pieces)](
        x,
        *x.stride(),
        dt,
        *dt.stride(),
        M,
        *M.stride(),
        A,
        weight,
        bias,
        routes,
        ends,
        total,
        L,
        E,
        N,
        R,
        K,
        length,
        REVERSE=reverse,
        STATES=triton.next_power_of_2(N),
        RANK=triton.next_power_of_2(R),
        WIDTH=WIDTH,
        STAGES=STAGES,
        num_warps=1,
    )
    block = 64
    _carry_kernel[(batch * K, triton.cdiv(N * E, block))](
        ends, total, A, E, N, K, pieces, REVERSE=reverse, BLOCK=block, STAGES=STAGES, num_warps=1
    )
    return ends


_INPUTS = "Tensor u, Tensor dt, Tensor B, Tensor C, Tensor A, Tensor D, Tensor weight, Tensor bias, Tensor routes"


# Custom operators rather than an autograd.Function: torch.compile takes them whole, whatever the kernels look like.
@torch.library.custom_op(
    "sasmamba::selective_scan", mutates_args=(), schema=f"({_INPUTS}, bool keep) -> (Tensor, Tensor)"
)
def _forward(
    u: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    A: Tensor,
    D: Tensor,
    weight: Tensor,
    bias: Tensor,
    routes: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """The scan, and with `keep` the states at the start of every chunk, (batch · K, chunks, N, E)."""
    batch, L, E, K, N, R = _sizes(u, A, weight)
    A, D, weight, bias, routes = (x.contiguous() for x in (A, D, weight, bias, routes))
    programs = batch * K * triton.cdiv(E, WIDTH)
    length = piece_length(programs, L, u.device)
    pieces = triton.cdiv(L, length)
    y = u.new_empty(K, batch, L, E, dtype=torch.float32)
    checkpoints = u.new_empty(batch * K, triton.cdiv(L, CHUNK) if keep else 0, N, E, dtype=torch.float32)
    starts = _ends(u, dt, B, A, weight, bias, routes, length, reverse=False) if pieces > 1 else y
    _forward_kernel[(programs, pieces)](
        u,
        *u.stride(),
        dt,
        *dt.stride(),
        B,
        *B.stride(),
        C,
        *C.stride(),
        A,
        D,
        weight,
        bias,
        routes,
        starts,
        checkpoints,
        y,
        batch,
        L,
        E,
        N,
        R,
        K,
        length,
        PIECES=pieces > 1,
        KEEP=keep,
        CHUNK=CHUNK,
        STATES=triton.next_power_of_2(N),
        RANK=triton.next_power_of_2(R),
        WIDTH=WIDTH,
        STAGES=STAGES,
        num_warps=1,
    )
    return y.sum(0).to(u.dtype), checkpoints


@_forward.register_fake
def _(
    u: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    A: Tensor,
    D: Tensor,
    weight: Tensor,
    bias: Tensor,
    routes: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    batch, L, E, K, N, _ = _sizes(u, A, weight)
    chunks = (L + CHUNK - 1) // CHUNK if keep else 0
    return u.new_empty(batch, L, E), u.new_empty(batch * K, chunks, N, E, dtype=torch.float32)


@torch.library.custom_op(
    "sasmamba::selective_scan_backward",
    mutates_args=(),
    schema=f"({_INPUTS}, Tensor dy, Tensor checkpoints) -> ({', '.join(['Tensor'] * 8)})",
)
def _backward(
    u: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    A: Tensor,
    D: Tensor,
    weight: Tensor,
    bias: Tensor,
    routes: Tensor,
    dy: Tensor,
    checkpoints: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients of the inputs, in their order, dense."""
    batch, L, E, K, N, R = _sizes(u, A, weight)
    inputs = (u, dt, B, C, A, D, weight, bias)
    A, D, weight, bias, routes = (x.contiguous() for x in (A, D, weight, bias, routes))
    blocks = triton.cdiv(E, WIDTH)
    length = piece_length(batch * K * blocks, L, u.device)
    pieces = triton.cdiv(L, length)
    states, rank = triton.next_power_of_2(N), triton.next_power_of_2(R)

    def buffer(*shape: int) -> Tensor:
        return u.new_empty(shape, dtype=torch.float32)

    scratch = buffer(batch * K * blocks * pieces, CHUNK // GROUP, states * WIDTH)
    # summed over their first dimension in the end: routes, blocks of channels, or batch and pieces
    parts = (
        buffer(K, batch, L, E),
        buffer(blocks, batch, L, K, R),
        buffer(blocks, batch, L, K, N),
        buffer(blocks, batch, L, K, N),
        buffer(batch * pieces, K, E, N),
        buffer(batch * pieces, K, E),
        buffer(batch * pieces, K, E, R),
        buffer(batch * pieces, K, E),
    )
    returns = _ends(dy, dt, C, A, weight, bias, routes, length, reverse=True) if pieces > 1 else dy
    _backward_kernel[(batch * K * blocks, pieces)](
        u,
        *u.stride(),
        dt,
        *dt.stride(),
        B,
        *B.stride(),
        C,
        *C.stride(),
        A,
        D,
        weight,
        bias,
        routes,
        dy,
        *dy.stride(),
        returns,
        checkpoints,
        scratch,
        *parts,
        batch,
        L,
        E,
        N,
        R,
        K,
        length,
        PIECES=pieces > 1,
        CHUNK=CHUNK,
        GROUP=GROUP,
        STATES=states,
        RANK=rank,
        WIDTH=WIDTH,
        num_warps=1,
    )
    return tuple(part.sum(0).to(x.dtype) for part, x in zip(parts, inputs, strict=True))


@_backward.register_fake
def _(
    u: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    A: Tensor,
    D: Tensor,
    weight: Tensor,
    bias: Tensor,
    routes: Tensor,
    dy: Tensor,
    checkpoints: Tensor,
) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in (u, dt, B, C, A, D, weight, bias))


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs[:-1], output[1])


def _gradients(ctx: Any, dy: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    *inputs, checkpoints = ctx.saved_tensors
    return (*_backward(*inputs, dy, checkpoints), None, None)


_forward.register_autograd(_gradients, setup_context=_keep_for_backward)


def selective_scan_triton(
    u: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    A: Tensor,
    D: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    routes: Tensor,
) -> Tensor:
    """Same function as `selective_scan_reference`; any floating dtype, float32 inside, the result in that of u.

    A route that leaves the sequence makes NaN from there on: to raise an error would be to wait for the GPU.
    """
    inputs = (u, dt, B, C, A, D, dt_weight, dt_bias)
    if not u.numel():
        return torch.zeros_like(u)
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    return _forward(*inputs, routes, keep)[0]
