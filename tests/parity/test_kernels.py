"""What the compiled kernels do with numbers that are none, and on a machine that has no more threads to give."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from sasmamba.models import kernels
from sasmamba.models.scan import selective_scan

pytestmark = pytest.mark.skipif(kernels.load()[0] is None, reason=kernels.load()[1])


@pytest.mark.parametrize("name", ["u", "dt", "B", "C", "A", "D", "dt_weight", "dt_bias"])
def test_nan_comes_out_where_the_reference_has_it(name: str) -> None:
    """A NaN in the middle corrupts all that follows it on its route, and nothing else."""
    L, E, K, N, R = 12, 20, 2, 3, 2
    g = torch.Generator().manual_seed(0)
    sizes = {
        "u": (1, L, E),
        "dt": (1, L, K, R),
        "B": (1, L, K, N),
        "C": (1, L, K, N),
        "A": (K, E, N),
        "D": (K, E),
        "dt_weight": (K, E, R),
        "dt_bias": (K, E),
    }
    inputs = {k: torch.randn(*size, generator=g) for k, size in sizes.items()}
    inputs["A"] = -inputs["A"].abs()
    inputs[name].view(-1)[inputs[name].numel() // 2] = float("nan")
    routes = torch.stack([torch.arange(L), torch.arange(L).flip(0)])
    native, reference = (selective_scan(*inputs.values(), routes, b) for b in ("native", "reference"))  # type: ignore[arg-type]
    assert reference.isnan().any()
    torch.testing.assert_close(native, reference, rtol=1e-4, atol=1e-5, equal_nan=True)


#: Threads with stacks so large that the address space allowed holds none.
STARVED = """
import resource, torch
from sasmamba.models.scan import selective_scan
g = torch.Generator().manual_seed(0)
sizes = (2, 9, 40), (2, 9, 2, 1), (2, 9, 2, 3), (2, 9, 2, 3), (2, 40, 3), (2, 40), (2, 40, 1), (2, 40)
inputs = [torch.randn(*size, generator=g).requires_grad_() for size in sizes]
inputs[4].data = -inputs[4].data.abs()
routes = torch.stack([torch.arange(9), torch.arange(9).flip(0)])
def run():
    y = selective_scan(*inputs, routes, "native")
    return y, *torch.autograd.grad(y.square().sum(), inputs)
torch.autograd.grad(inputs[0].sum(), inputs[0])
torch.set_num_threads(1)
want = run()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY))
torch.set_num_threads(4)
for got, expected in zip(run(), want, strict=True):
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited as on Linux")
def test_without_threads_the_caller_does_all_the_work() -> None:
    import resource

    def large_stacks() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (4 << 30, resource.getrlimit(resource.RLIMIT_STACK)[1]))

    done = subprocess.run(
        [sys.executable, "-c", STARVED],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=large_stacks,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
