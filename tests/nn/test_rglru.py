"""The body `rglru` compared with its equations, row by row and step by step, and its kernels with each other.

B batch, T time, D inputs, H hidden, R units.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.rglru import RecurrentUnit, RGLRUBlock, RGLRUNetwork
from charlm.nn.bodies.settings import RGLRUSettings
from charlm.nn.dropout import NoiseRNG
from charlm.nn.fused import compiled, rglru, steps
from charlm.nn.state import State, reset_rows
from charlm.training.optim.build import build_adamw
from charlm.training.optim.settings import AdamWSettings
from tests.nn.equations import sigmoid

B, T, D, H = 3, 7, 5, 12


def make(*, seed: int = 0, **changes: Any) -> RGLRUNetwork:
    """Build a body in float64 with random parameters, in evaluation mode."""
    torch.manual_seed(seed)
    settings = RGLRUSettings.model_validate({"hidden_size": H, "num_blocks": 2, "gate_width": 5, **changes})
    body = build_body(settings, D, NoiseRNG()).double().eval()
    assert isinstance(body, RGLRUNetwork)
    with torch.no_grad():
        for parameter in body.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    return body


def inputs(num_steps: int = T) -> Tensor:
    return torch.randn(B, num_steps, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def normalise(x: Tensor, norm: nn.Module) -> Tensor:
    weights = norm.state_dict()
    if "bias_G" in weights:
        x = x - x.mean()
        return x / (x.square().mean() + 1e-5).sqrt() * weights["gain_G"] + weights["bias_G"]
    return x / (x.square().mean() + 1e-5).sqrt() * weights["gain_G"]


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / 2**0.5)) / 2


def unit_by_hand(unit: RecurrentUnit, inputs_TR: list[Tensor]) -> list[Tensor]:
    """De et al. (2024), eq. 1 to 4, from a fresh state: one dense matrix for each gate, zero outside its blocks."""
    weight_KR, width = unit.conv_weight_KR, unit.gate_weight_JWG.shape[1]
    zeros = [torch.zeros_like(inputs_TR[0])] * (len(weight_KR) - 1)
    w_r, w_i = (torch.block_diag(*unit.gate_weight_JWG[:, :, part]) for part in (slice(width), slice(width, None)))
    b_r, b_i = (unit.gate_bias_J1G[:, 0, part].flatten() for part in (slice(width), slice(width, None)))
    h, outputs = torch.zeros_like(inputs_TR[0]), list[Tensor]()
    for t in range(len(inputs_TR)):
        window = [*zeros, *inputs_TR][t : t + len(weight_KR)]
        c = sum((w * x for w, x in zip(weight_KR, window, strict=True)), unit.conv_bias_R)
        a = torch.exp(-8 * sigmoid(c @ w_r + b_r) * torch.log(1 + torch.exp(unit.decay_R)))
        h = a * h + (1 if t == 0 else (1 - a**2).sqrt()) * sigmoid(c @ w_i + b_i) * c
        outputs.append(h)
    return outputs


def by_hand(body: RGLRUNetwork, x_TD: Tensor) -> Tensor:
    """The features of one row."""
    xs = [x if body.input is None else body.input(x) for x in x_TD]
    for block in body.blocks:
        assert isinstance(block, RGLRUBlock)
        ns = [normalise(x, block.recurrent_norm) for x in xs]
        hs = unit_by_hand(block.unit, [block.recurrent_input(n) for n in ns])
        ys = [gelu(block.recurrent_gate(n)) * h for n, h in zip(ns, hs, strict=True)]
        xs = [x + block.recurrent_output(y) for x, y in zip(xs, ys, strict=True)]
        ns = [normalise(x, block.mlp_norm) for x in xs]
        ys = [gelu(block.mlp_gate(n)) * block.mlp_input(n) for n in ns]
        xs = [x + block.mlp_output(y) for x, y in zip(xs, ys, strict=True)]
    return torch.stack([normalise(x, body.norm) for x in xs])


@pytest.mark.parametrize(
    "changes", [{}, {"norm": "layer"}, {"kernel_size": 1}, {"hidden_size": D, "gate_width": 1}, {"gate_width": 64}]
)
def test_the_body_is_its_equations(changes: dict[str, Any]) -> None:
    body, x_BTD = make(**changes), inputs()
    features, _ = body(x_BTD, body.initial_state(B))
    torch.testing.assert_close(features, torch.stack([by_hand(body, x_TD) for x_TD in x_BTD]), rtol=0, atol=1e-10)


def test_the_blocks_of_the_gates_are_the_widest_that_fit() -> None:
    for size, widest, width in ((12, 5, 4), (12, 64, 12), (7, 5, 1), (256, 64, 64)):
        assert RecurrentUnit(size, 4, widest).gate_weight_JWG.shape == (size // width, width, 2 * width)


def test_only_rows_that_are_fresh_start_without_the_root() -> None:
    body, x_BTD = make(), inputs(2)
    _, carried = body(inputs(), body.initial_state(B))
    zeroed: State = (*(torch.zeros_like(tensor) for tensor in carried[:-1]), carried[-1])
    fresh, _ = body(x_BTD, body.initial_state(B))
    mixed, after = body(x_BTD, reset_rows(zeroed, body.initial_state(B), torch.tensor([True, False, True])))
    torch.testing.assert_close(mixed[::2], fresh[::2], rtol=0, atol=1e-12)
    assert not torch.allclose(mixed[1], fresh[1])
    assert after[-1].tolist() == [2, T + 2, 2]


def test_gradients_of_a_fresh_state_are_those_of_finite_differences() -> None:
    body, x_BTD = make(hidden_size=2, num_blocks=1, kernel_size=2), inputs(3)
    state = reset_rows(
        body(inputs(), body.initial_state(B))[1], body.initial_state(B), torch.tensor([True, False, True])
    )
    names = [name for name, _ in body.named_parameters()]

    def features(*values: Tensor) -> Tensor:
        return torch.func.functional_call(body, dict(zip(names, values, strict=True)), (x_BTD, state))[0]

    leaves = tuple(parameter.detach().clone().requires_grad_() for parameter in body.parameters())
    assert torch.autograd.gradcheck(features, leaves)


def test_the_slope_of_the_root_is_limited() -> None:
    """With r near zero, a is 1 and the root 0, of which the derivative is infinite."""
    gates_JNG = torch.full((1, 3, 4), -200.0, dtype=torch.float64, requires_grad=True)
    x_TSR = torch.ones(3, 1, 2, dtype=torch.float64)
    decay_R = torch.full((2,), 1e-20, dtype=torch.float64, requires_grad=True)
    start_SR, is_fresh_S = torch.ones(1, 2, dtype=torch.float64), torch.tensor([False])
    rglru.run_rglru(gates_JNG, x_TSR, decay_R, is_fresh_S, start_SR).sum().backward()
    assert gates_JNG.grad is not None
    assert decay_R.grad is not None
    assert gates_JNG.grad.isfinite().all()
    assert decay_R.grad.isfinite().all()


# ---- the kernels


def run_unit(dtype: torch.dtype, num_sequences: int = 37, num_steps: int = 9, size: int = 77) -> list[Tensor]:
    """Return outputs, state and gradients of a unit whose sizes are no multiple of a vector or a block."""
    torch.manual_seed(0)
    unit = RecurrentUnit(size, 4, 11).to(dtype)
    u_TBR = torch.randn(num_steps, num_sequences, size).to(dtype).requires_grad_()
    state = tuple(torch.randn(each.shape).to(dtype).requires_grad_() for each in unit.initial_state(num_sequences))
    is_fresh_B = torch.arange(num_sequences) % 3 == 0
    output_TBR, after = unit(u_TBR, state, is_fresh_B)
    weights_TBR = torch.randn(output_TBR.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    gradients = torch.autograd.grad((output_TBR * weights_TBR).sum(), [*unit.parameters(), u_TBR, *state])
    return [output_TBR.detach(), *(each.detach() for each in after), *gradients]


@pytest.mark.parametrize("kernels", ["compiled", "eager"])
@pytest.mark.parametrize("sizes", [(37, 9, 77), (1, 40, 22), (5, 1, 11)])
def test_the_kernels_agree_with_float64(
    kernels: str, sizes: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels == "eager":
        monkeypatch.setattr(steps, "load_compiled_library", lambda: None)
    elif compiled.load_compiled_library() is None:
        pytest.skip("no C compiler here")
    assert steps.kernels_for(torch.zeros(1)).name == kernels
    exact = run_unit(torch.float64, *sizes)
    for mine, other in zip(run_unit(torch.float32, *sizes), exact, strict=True):
        scale = max(1.0, float(other.abs().max()))
        torch.testing.assert_close(mine.double() / scale, other / scale, rtol=0, atol=1e-5)


def test_numbers_do_not_depend_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    if compiled.load_compiled_library() is None:
        pytest.skip("no C compiler here")
    monkeypatch.setattr(compiled, "_MIN_ELEMENTS_FOR_THREADS", 0)
    found: list[list[Tensor]] = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found.append(run_unit(torch.float32))
    for other in found[1:]:
        assert all(torch.equal(*pair) for pair in zip(found[0], other, strict=True))


def test_a_root_near_zero_keeps_its_digits() -> None:
    """For a near 1, 1 - a^2 as a difference would lose them."""
    decay_R = torch.logspace(-9, 1, 64)
    gates_JNG, x_TSR = torch.zeros(1, 1, 128), torch.ones(1, 1, 64)
    fresh_S, start_SR = torch.tensor([False]), torch.zeros(1, 64)
    found = rglru.run_rglru(gates_JNG, x_TSR, decay_R, fresh_S, start_SR)[0, 0]
    torch.testing.assert_close(found, (0.5 * (-torch.expm1(-decay_R.double())).sqrt()).float(), rtol=2e-6, atol=0)


# ---- where it starts


def test_a_starts_between_0_9_and_0_999_to_the_eighth_power_of_r() -> None:
    torch.manual_seed(0)
    unit = RecurrentUnit(4096, 4, 64)
    radius_R = torch.exp(-unit.decay() / 8).detach()
    assert 0.9 - 1e-6 <= float(radius_R.min()) < 0.905
    assert 0.9985 < float(radius_R.max()) <= 0.999 + 1e-6
    assert float(radius_R.square().mean()) == pytest.approx((0.9**2 + 0.999**2) / 2, abs=0.003)
    assert float(unit.gate_weight_JWG.detach().std()) == pytest.approx(1 / 8, rel=0.02)
    assert not unit.gate_bias_J1G.any()


def test_the_decay_is_not_decayed() -> None:
    body = make()
    decayed, others = build_adamw(AdamWSettings(weight_decay=0.1), body).param_groups
    units = [module for module in body.modules() if isinstance(module, RecurrentUnit)]
    assert {id(unit.decay_R) for unit in units} <= {id(parameter) for parameter in others["params"]}
    assert decayed["weight_decay"] == 0.1
    assert others["weight_decay"] == 0
