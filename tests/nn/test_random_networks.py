"""Random networks on the fastest backends compared with the same networks step by step: outputs, states, gradients.

B batch, T time, D inputs.
"""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.recurrent import RecurrentLayer
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.dropout import NoiseRNG
from charlm.nn.fused.backend import trains_in_c, unroll_in_c
from charlm.nn.fused.chunk_in_c import MIN_ROWS, runs_in_c
from charlm.settings import Layer, validate

CELLS: tuple[dict[str, Any], ...] = (
    {"type": "lstm"},
    {"type": "lstm", "coupled": True},
    {"type": "lstm", "mogrifier_rounds": 3},
    {"type": "gru"},
    {"type": "gru", "reset": "before"},
    {"type": "rnn"},
    {"type": "rnn", "activation": "relu"},
    {"type": "mingru"},
)
SEEDS = [pytest.param(0, 30, id="some"), pytest.param(30, 1000, id="all", marks=pytest.mark.faults)]


class Case(NamedTuple):
    """A network, and the shape of what it reads: B, T, D."""

    body: dict[str, Any]
    shape: tuple[int, int, int]
    training: bool


def draw_case(seed: int) -> Case:
    """Draw a network of two inputs and units at least: of one, the gradients through a norm are rounding errors."""
    rng = random.Random(seed)
    num_layers = rng.choice((1, 1, 2, 3))

    def maybe(probability: float) -> float:
        return probability if rng.random() < 0.25 else 0.0

    cell = rng.choice(CELLS)
    hidden_size = max(2, rng.choice((rng.randint(1, 63), rng.randint(64, 130), 64, 96, 128)))
    body = {
        "cell": cell,
        "num_layers": num_layers,
        "hidden_size": hidden_size,
        "norm": rng.choice(("none", "layer", "layer", "weight", "batch")),
        "norm_steps": 4,
        "skip": rng.choice(("none", "residual", "dense")),
        "dilations": tuple(rng.choice((1, 1, 2, 3)) for _ in range(num_layers)),
        "input_dropout": maybe(0.2),
        "dropout": maybe(0.3),
        "output_dropout": maybe(0.2),
        "recurrent_dropout": maybe(0.2),
        "weight_drop": 0.0 if cell["type"] == "mingru" else maybe(0.3),
        "zoneout": maybe(0.2),
        "zoneout_hidden": maybe(0.1) if cell["type"] == "lstm" else 0.0,
    }
    if body["skip"] != "none":
        body["strides"] = (1, *(rng.choice((1, 1, 2)) for _ in range(num_layers - 1)))
    batch_size = rng.choice((rng.randint(2, 7), rng.randint(8, 40), 8, 16, 32))
    shape, training = (batch_size, rng.randint(1, 10), max(2, rng.randint(1, 80))), rng.random() < 0.7
    divisors = [number for number in range(2, 9) if hidden_size % number == 0]
    if divisors and cell["type"] != "mingru" and rng.random() < 0.25:
        body["num_heads"] = rng.choice(divisors)
    return Case(body, shape, training)


def run(case: Case, seed: int, backend: str, dtype: torch.dtype, num_threads: int | None = None) -> list[Tensor]:
    """Return outputs, last state, running averages, and the gradients of a random projection by all that has one.

    Args:
        num_threads: of the forward and the backward pass. The initial weights depend on the number of threads, too.
    """
    rng = NoiseRNG()
    rng.seed(seed)
    torch.manual_seed(seed)
    batch_size, num_steps, input_size = case.shape
    network = build_body(validate(RecurrentSettings, Layer({**case.body, "backend": backend})), input_size, rng)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1 or "LG" in name:  # gains and biases, which start alike
                parameter.add_(torch.randn_like(parameter) * 0.1)
    network.to(dtype).train(case.training)
    x_BTD = torch.randn(batch_size, num_steps, input_size).to(dtype).requires_grad_()
    state = tuple(
        (torch.randn(tensor.shape) * 0.3).to(dtype).requires_grad_() if tensor.is_floating_point() else tensor
        for tensor in network.initial_state(batch_size)
    )
    leaves = [leaf for leaf in (*network.parameters(), x_BTD, *state) if leaf.requires_grad]
    threads_before = torch.get_num_threads()
    torch.set_num_threads(num_threads or threads_before)
    try:
        found = [tensor for tensor in _flat(network(x_BTD, state)) if tensor.requires_grad]
        directions = [torch.randn(tensor.shape).to(dtype) for tensor in found]
        gradients = torch.autograd.grad(found, leaves, directions, allow_unused=True, materialize_grads=True)
    finally:
        torch.set_num_threads(threads_before)
    return [*(tensor.detach() for tensor in found), *network.buffers(), *gradients]


def _flat(result: tuple[Tensor, Sequence[Tensor]]) -> list[Tensor]:
    return [result[0], *result[1]]


def difference(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return the largest difference, of each tensor relative to its largest element."""
    assert len(found) == len(expected)
    parts = [
        float((mine.double() - other.double()).abs().max()) / max(float(other.double().abs().max()), 1e-3)
        for mine, other in zip(found, expected, strict=True)
        if other.numel()
    ]
    return max(parts)


@pytest.mark.parametrize(("first", "last"), SEEDS)
def test_random_networks_are_the_plain_ones(first: int, last: int) -> None:
    """In float64 to 1e-10, in fp32 to 1e-5. A network that amplifies rounding has more room: as much as the plain steps
    in fp32 are further from float64 than that."""
    failed: dict[int, tuple[float, ...]] = {}
    for seed in range(first, last):
        case = draw_case(seed)
        exact = run(case, seed, "plain", torch.float64)
        in_double = difference(run(case, seed, "auto", torch.float64), exact)
        in_single = difference(run(case, seed, "auto", torch.float32), exact)
        plain = difference(run(case, seed, "plain", torch.float32), exact)
        if not (in_double <= 1e-10 * max(1.0, plain / 1e-5) and in_single <= max(1e-5, 4 * plain)):
            failed[seed] = (in_double, in_single, plain)
    assert not failed


@pytest.mark.skipif(not runs_in_c(torch.device("cpu")), reason="no C compiler here")
@pytest.mark.parametrize(("first", "last"), SEEDS)
def test_their_numbers_do_not_depend_on_the_threads(first: int, last: int) -> None:
    """Of the networks that run in one call of C a layer, gradients included. Torch's products make no such promise."""
    cases = {seed: draw_case(seed) for seed in range(first, last)}
    known = {seed: case for seed, case in cases.items() if runs_whole_in_c(case)}
    assert len(known) > len(cases) / 20
    for seed, case in known.items():
        alone, *others = (run(case, seed, "auto", torch.float32, num_threads) for num_threads in (1, 2, 3))
        for other in others:
            assert all(torch.equal(*pair) for pair in zip(alone, other, strict=True)), seed


def runs_whole_in_c(case: Case) -> bool:
    """Whether all layers run in C at all steps."""
    settings = validate(RecurrentSettings, Layer(case.body))
    layers = build_body(settings, case.shape[2], NoiseRNG()).modules()
    cells = [layer.cell for layer in layers if isinstance(layer, RecurrentLayer)]
    is_known = all(unroll_in_c(cell) is not None and trains_in_c(cell) for cell in cells)
    is_known = is_known and (case.training or settings.norm != "batch")
    has_steps = case.shape[1] > max(settings.strides, default=1) and max(settings.dilations) == 1
    return is_known and has_steps and case.shape[0] >= MIN_ROWS
