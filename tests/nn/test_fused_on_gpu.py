"""The Triton kernels compared with the plain steps on a GPU, and compiled for a GPU on machines without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from charlm.device import Precision, autocast
from charlm.nn.cells.base import CellOptions, unroll
from charlm.nn.fused import steps
from charlm.nn.fused.backend import fused_unroll
from tests.nn.cells import CELLS, NORMS, randomised, results

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

COMPILE = """
import itertools, sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from charlm.nn.fused import triton_kernels as kernels

WHOLE = {"num_rows", "num_columns", "size", "x_stride", "x_hat_stride", "dy_stride", "dx_stride"}
BOTH = [False, True]
CHOICES = {"gain": [None, 0], "dropout_mask": [None, 0], "bias": [None, 0], "RELU": BOTH, "COUPLED": BOTH}
SIZES = {"BLOCK": 256, "ROWS": 64, "COLUMNS": 16}
compiled = 0
for name in sys.argv[1:]:
    kernel = getattr(kernels, name)
    names = kernel.arg_names
    varied = [one for one in names if one in CHOICES and not ("norm" in name and one == "gain")]
    for chosen in itertools.product(*(CHOICES[one] for one in varied)):
        constants = dict(zip(varied, chosen)) | {one: SIZES[one] for one in names if one in SIZES}
        constants = {one: value for one, value in constants.items() if one.isupper() or value is None}
        types = {one: "i32" if one in WHOLE else "fp32" if one == "eps" else "*fp32" for one in names}
        types |= dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, types, {(names.index(one),): value for one, value in constants.items()})
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
        compiled += 1
print(compiled)
"""
KERNELS = (
    ("layer_norm", 1),
    ("layer_norm_backward", 1),
    ("batch_norm", 1),
    ("batch_norm_backward", 1),
    ("lstm_gates", 8),
    ("lstm_output", 8),
    ("lstm_output_backward", 2),
    ("lstm_gates_backward", 4),
    ("gru", 4),
    ("gru_backward", 2),
    ("rnn", 4),
    ("rnn_backward", 2),
)


def test_every_kernel_compiles_for_a_gpu_that_is_not_here(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="no Triton here")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, *(name for name, _ in KERNELS)],
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == sum(variants for _, variants in KERNELS)


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("name", ["lstm", "lstm-coupled", "gru", "rnn-tanh", "rnn-relu"])
def test_kernels_are_the_plain_steps_on_a_gpu(name: str, norm: str, precision: Precision) -> None:
    """With sizes that are no multiple of a block. In bf16, both round their products, but in different orders."""
    device = torch.device("cuda")
    cell = randomised(CELLS[name](29, 77, CellOptions(norms=NORMS[norm]))).float().train().to(device)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(0.15)
    x_BTD = torch.randn(37, 9, 29, generator=torch.Generator().manual_seed(1)).to(device)
    state = tuple(tensor.to(device) for tensor in cell.initial_state(37))
    assert steps.kernels_for(x_BTD).name == "triton"
    fast = fused_unroll(cell)
    assert fast is not None
    tolerance = 3e-2 if precision == "bf16" else 2e-5
    with autocast(precision, device):
        expected = results(cell, lambda x, s: unroll(cell, x, s, cell.prepare(None)), x_BTD, state)
        found = results(cell, lambda x, s: fast(cell, x, s, cell.prepare(None)), x_BTD, state)
    for mine, plain in zip(found, expected, strict=True):
        scale = max(1.0, float(plain.float().abs().max()))
        torch.testing.assert_close(mine / scale, plain / scale, rtol=0, atol=tolerance)
