"""The fast step of sampling agrees with the model's forward, for every architecture, batch size and precision."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from charlm.device import cpu_has_amx
from charlm.errors import UsageError
from charlm.nn.cells.base import Cell
from charlm.nn.fused import compiled
from charlm.nn.fused.steps import kernels_for
from charlm.nn.model import LanguageModel
from charlm.nn.quantize import matvec_int8, quantize_cells, quantize_int8
from charlm.nn.state import State, concatenate_rows, select_rows
from charlm.sampling.fast.base import PlainStepper, Stepper
from charlm.sampling.fast.cells import fast_cell
from charlm.sampling.fast.fused import FusedMatrices, FusedStepper
from charlm.sampling.fast.matmul import PRODUCTS
from charlm.sampling.fast.packed import pack_int8
from charlm.sampling.fast.stepper import StepperBuilder, choose_stepper
from charlm.sampling.options import StepPrecision
from tests.nn.cells import CELLS, FAST, make
from tests.nn.model_cases import CASES, build, vocab_of

READ, STEPS = 5, 14


def trained(case: str) -> LanguageModel:
    """A model whose running statistics, if it has any, differ from the initial ones."""
    model = build(case).train()
    with torch.no_grad():
        for _ in range(3):
            model(ids(case, 6, 8), model.initial_state(6))
    return model.eval()


def ids(case: str, rows: int, length: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocab_of(case).size, (rows, length), generator=generator)


def has_fast_cells(model: LanguageModel) -> bool:
    cells = [module for module in model.body.modules() if isinstance(module, Cell)]
    return bool(cells) and all(fast_cell(cell) is not None for cell in cells)


def test_every_fast_cell_has_a_fast_step() -> None:
    found = {name for name in CELLS if fast_cell(make(name)) is not None}
    assert found == {*FAST}, "correct FAST in tests/nn/cells.py, or fast_cell in charlm/sampling/fast/cells.py"


@torch.inference_mode()
def read(model: LanguageModel, inputs_BT: Tensor) -> tuple[Tensor, State]:
    features_BTH, state = model(inputs_BT, model.initial_state(len(inputs_BT)))
    return model.head.logits(features_BTH).softmax(-1), state


def assert_states_agree(state: State, expected: State) -> None:
    for own, other in zip(state, expected, strict=True):
        assert own.shape == other.shape
        assert own.dtype == other.dtype
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_probabilities_are_those_of_the_forward(case: str, rows: int) -> None:
    model, inputs_BT = trained(case), ids(case, rows, READ + STEPS, seed=1)
    expected_BTV, end = read(model, inputs_BT)
    _, state = read(model, inputs_BT[:, :READ])
    stepper = choose_stepper(model, state)
    assert stepper.name == ("fast fp32" if has_fast_cells(model) else "plain")
    for time in range(READ, READ + STEPS):
        if time == READ + STEPS // 2:  # a stepper can continue from the state of another one
            stepper = choose_stepper(model, stepper.state())
        torch.testing.assert_close(
            stepper.step(inputs_BT[:, time]).softmax(-1), expected_BTV[:, time], rtol=0, atol=1e-5
        )
    assert_states_agree(stepper.state(), end)


@pytest.mark.parametrize(
    "case",
    ["lstm-2-torch", "gru-layer", "lstm-batch", "dilated-batch", "strided", "token-context", "ngram-sum", "tcn-none"],
)
def test_rows_can_be_selected(case: str) -> None:
    """Row i continues like row rows[i]."""
    model, inputs_BT = trained(case), ids(case, 3, READ + 4)
    _, state = read(model, inputs_BT[:, :READ])
    chosen = torch.tensor([2, 0, 2])
    stepper = choose_stepper(model, state)
    stepper.step(inputs_BT[:, READ])
    stepper.select_rows(chosen)
    after = [stepper.step(inputs_BT[chosen, time]) for time in (READ + 1, READ + 2)]
    expected_BTV, _ = read(model, inputs_BT[chosen, : READ + 3])
    torch.testing.assert_close(after[-1].softmax(-1), expected_BTV[:, -1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_streams_come_and_go(case: str) -> None:
    """Stream k begins at step 2 k and ends 5 steps later; it never depends on which others there are."""
    model, inputs_BT = trained(case), ids(case, 4, 5)
    expected_BTV, _ = read(model, inputs_BT)
    builder, states = StepperBuilder(model, streams_change=True), dict[int, State]()
    for time in range(4 * 2 + 3):
        if time % 2 == 0 and time < 8:
            states[time // 2] = model.initial_state(1)
        streams = sorted(states)
        stepper = builder.build(concatenate_rows([states[stream] for stream in streams]))
        assert stepper.name == "plain" or has_fast_cells(model)
        tokens_B = torch.stack([inputs_BT[stream, time - 2 * stream] for stream in streams])
        found_BV = stepper.step(tokens_B).softmax(-1)
        expected_BV = torch.stack([expected_BTV[stream, time - 2 * stream] for stream in streams])
        torch.testing.assert_close(found_BV, expected_BV, rtol=0, atol=1e-5)
        after = stepper.state()
        states = {stream: select_rows(after, torch.tensor([row])) for row, stream in enumerate(streams)}
        states.pop((time - 4) // 2 if time % 2 == 0 else -1, None)


@pytest.mark.parametrize(
    "case",
    [
        "lstm-2-torch",
        "gru-layer",
        "rnn-weight",
        "lstm-batch",
        "lstm-coupled",
        "mingru-layer",
        "lstm-heads",
        "gru-heads",
    ],
)
@pytest.mark.parametrize("rows", [1, 3, 6])
def test_int8_agrees_with_the_rounded_model(case: str, rows: int) -> None:
    """One row multiplies in int8, many rows multiply the same values in fp32; both agree with evaluation."""
    model, inputs_BT = trained(case), ids(case, rows, READ + STEPS)
    exact_BTV, _ = read(model, inputs_BT)
    quantize_cells(model)
    expected_BTV, _ = read(model, inputs_BT)
    assert 0 < (expected_BTV - exact_BTV).abs().max() < 0.1, "rounding changes the probabilities a little"
    _, state = read(model, inputs_BT[:, :READ])
    stepper = choose_stepper(model, state, "int8")
    for time in range(READ, READ + STEPS):
        found_BV = stepper.step(inputs_BT[:, time]).softmax(-1)
        torch.testing.assert_close(found_BV, expected_BTV[:, time], rtol=0, atol=2e-5)


def test_bf16_is_near() -> None:
    model, inputs_BT = trained("lstm-2-torch"), ids("lstm-2-torch", 2, READ + STEPS)
    expected_BTV, _ = read(model, inputs_BT)
    _, state = read(model, inputs_BT[:, :READ])
    stepper = choose_stepper(model, state, "bf16")
    assert stepper.name == "fast bf16"
    for time in range(READ, READ + STEPS):
        found_BV = stepper.step(inputs_BT[:, time]).softmax(-1)
        torch.testing.assert_close(found_BV, expected_BTV[:, time], rtol=0, atol=2e-2)


@pytest.fixture
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("CHARLM_COMPILE", "0")
    compiled.load_compiled_library.cache_clear()
    yield
    compiled.load_compiled_library.cache_clear()


@pytest.mark.usefixtures("_no_compiler")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("case", ["lstm-2-torch", "gru-layer", "lstm-batch", "rnn-relu", "noisy"])
def test_nothing_needs_a_compiler(case: str, precision: str) -> None:
    model, inputs_BT = trained(case), ids(case, 1, READ + STEPS)
    if precision == "int8":
        quantize_cells(model)
    expected_BTV, _ = read(model, inputs_BT)
    _, state = read(model, inputs_BT[:, :READ])
    stepper = choose_stepper(model, state, "int8" if precision == "int8" else "fp32")
    for time in range(READ, READ + STEPS):
        found_BV = stepper.step(inputs_BT[:, time]).softmax(-1)
        torch.testing.assert_close(found_BV, expected_BTV[:, time], rtol=0, atol=2e-5)


def test_rows_out_of_step_take_the_plain_steps() -> None:
    """Rows of strided layers that were reset at different times have different phases."""
    model = trained("strided")
    _, (*floats, phase_B) = read(model, ids("strided", 2, 4))
    phase_B = phase_B + torch.tensor([1, 0])
    assert isinstance(choose_stepper(model, (*floats, phase_B)), PlainStepper)


def test_a_large_vocabulary_has_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlm.sampling.fast.fused._MAX_TABLE_SIZE", 10)
    test_probabilities_are_those_of_the_forward("lstm-layer", 1)
    test_probabilities_are_those_of_the_forward("gru-batch", 3)


def test_a_step_changes_neither_the_model_nor_the_first_state() -> None:
    """The stepper has its own buffers."""
    model = trained("lstm-2-torch")
    _, state = read(model, ids("lstm-2-torch", 1, READ))
    before = [tensor.clone() for tensor in (*state, *model.state_dict().values())]
    stepper: Stepper = FusedStepper(FusedMatrices(model), state)
    for token in range(4):
        stepper.step(torch.tensor([token]))
    assert all(torch.equal(*pair) for pair in zip(before, (*state, *model.state_dict().values()), strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(
    "case", ["lstm-2-torch", "gru-layer", "rnn-relu", "lstm-batch", "dilated", "tcn-none", "window-layer"]
)
def test_a_recorded_step_agrees_with_the_forward(case: str, rows: int) -> None:
    model, inputs_BT = trained(case), ids(case, rows, READ + STEPS)
    expected_BTV, _ = read(model, inputs_BT)
    cuda = model.to("cuda")
    with torch.inference_mode():
        _, state = cuda(inputs_BT[:, :READ].cuda(), cuda.initial_state(rows))
    stepper = choose_stepper(cuda, state)
    assert stepper.name == "CUDA graph"
    for time in range(READ, READ + STEPS):
        found_BV = stepper.step(inputs_BT[:, time].cuda()).softmax(-1).cpu()
        torch.testing.assert_close(found_BV, expected_BTV[:, time], rtol=0, atol=1e-4)


# ---- int8


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 131])
@pytest.mark.parametrize("size", [1, 7, 64, 129])
@pytest.mark.parametrize("kind", PRODUCTS)
def test_products_of_any_size(rows: int, size: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(rows + size)
    weight_GK, bias_G = torch.randn(rows, size, generator=generator), torch.randn(rows, generator=generator)
    for batch_size in (1, 2, 5, 23):
        x_BK, y_BG = torch.randn(batch_size, size, generator=generator), torch.empty(batch_size, rows)
        for run in PRODUCTS[kind](weight_GK, bias_G).bind(x_BK, y_BG):  # type: ignore[index]
            run()
        used_GK = weight_GK
        if kind == "int8":
            q_GK, scale_G = quantize_int8(weight_GK)
            used_GK = q_GK * scale_G[:, None]
        tolerance = {"fp32": 1e-5, "int8": 1e-5, "bf16": 0.02}[kind]
        expected_BG = x_BK @ used_GK.t() + bias_G
        rounding = float(used_GK.abs().sum(1).max() * x_BK.abs().max()) / 2 / 32767 if kind == "int8" else 0.0
        torch.testing.assert_close(y_BG, expected_BG, rtol=tolerance, atol=tolerance * size**0.5 * 3 + rounding)


@pytest.mark.skipif(compiled.load_compiled_library() is None, reason="no compiler here")
@pytest.mark.parametrize("size", [7, 64, 129])
@pytest.mark.parametrize("kind", PRODUCTS)
def test_a_row_has_the_same_bits_beside_any_others(kind: StepPrecision, size: int) -> None:
    if kind == "bf16" and cpu_has_amx():
        pytest.skip("torch multiplies bf16 here")
    if kind == "int8" and pack_int8(*quantize_int8(torch.ones(1, 1))) is None:
        pytest.skip("this processor has no instructions for these products")
    generator = torch.Generator().manual_seed(size)
    weight_GK, bias_G = torch.randn(300, size, generator=generator), torch.randn(300, generator=generator)
    x_BK, product = torch.randn(23, 2 * size, generator=generator)[:, :size], PRODUCTS[kind](weight_GK, bias_G)

    def multiply(rows: slice) -> Tensor:
        y_BG = torch.empty(len(x_BK[rows]), 300)
        for run in product.bind(x_BK[rows], y_BG):
            run()
        return y_BG

    expected_BG = multiply(slice(None))
    for rows in (slice(0, 1), slice(1, 3), slice(3, 8), slice(5, 17), slice(22, 23)):
        assert torch.equal(multiply(rows), expected_BG[rows])


@pytest.mark.skipif(compiled.load_compiled_library() is None, reason="no compiler here")
@pytest.mark.parametrize("size", [7, 64, 129])
def test_products_of_one_and_many_integer_rows_have_the_same_bits(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    weight_GK, scale_G = quantize_int8(torch.randn(70, size, generator=generator))
    x_BK = torch.randn(11, size, generator=generator)
    packed = pack_int8(weight_GK, scale_G)
    if packed is None:
        pytest.skip("this processor has no instructions for these products")
    many_BG, one_BG = torch.empty(2, len(x_BK), 70)
    packed.bind(x_BK, many_BG)()
    rounded_K = torch.empty(size, dtype=torch.int16)
    for x_K, y_G in zip(x_BK, one_BG, strict=True):
        kernels_for(x_BK).run(matvec_int8, weight_GK, scale_G, x_K, rounded_K, y_G)
    assert torch.equal(many_BG, one_BG)


@pytest.mark.parametrize("kind", PRODUCTS)
def test_a_transposed_matrix_is_multiplied_like_its_copy(kind: StepPrecision) -> None:
    generator = torch.Generator().manual_seed(0)
    weight_KG, x_BK = torch.randn(600, 700, generator=generator), torch.randn(3, 600, generator=generator)
    for weight_GK in (weight_KG.t(), weight_KG.double().t().float()):
        found_BG, expected_BG = torch.empty(2, 3, 700)
        for matrix, y_BG in ((weight_GK, found_BG), (weight_GK.contiguous(), expected_BG)):
            for run in PRODUCTS[kind](matrix, None).bind(x_BK, y_BG):
                run()
        assert torch.equal(found_BG, expected_BG)


def product_int8(weight_GK: Tensor, x_K: Tensor) -> Tensor:
    y_BG = torch.empty(1, len(weight_GK))
    for run in PRODUCTS["int8"](weight_GK, None).bind(x_K[None], y_BG):
        run()
    return y_BG[0]


def test_int8_sums_do_not_overflow() -> None:
    """The largest sums: every weight and every input at the end of its range."""
    for size in (512, 1024, 70_000):
        found_G = product_int8(torch.tensor([[1.0], [-1.0], [0.0]]).expand(-1, size).contiguous(), torch.ones(size))
        torch.testing.assert_close(found_G, torch.tensor([1.0, -1.0, 0.0]) * size, rtol=1e-3, atol=0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_are_not_rounded_away(value: float) -> None:
    assert not product_int8(torch.ones(5, 20), torch.tensor([0.5] * 19 + [value])).isfinite().any()


@pytest.mark.parametrize("value", [1e-36, 1e-42])
def test_inputs_too_small_to_be_rounded_are_zero(value: float) -> None:
    found_G = product_int8(torch.ones(5, 20), torch.tensor([value, -value] * 10))
    assert not found_G.any()


def test_rounding_errors_are_at_most_half_a_step() -> None:
    weight_GK = torch.randn(9, 40, generator=torch.Generator().manual_seed(0))
    weight_GK[3] = 0
    q_GK, scale_G = quantize_int8(weight_GK)
    assert q_GK.dtype == torch.int8
    assert ((q_GK * scale_G[:, None] - weight_GK).abs() <= scale_G[:, None] * 0.5001).all()
    again, _ = quantize_int8(q_GK * scale_G[:, None])
    assert torch.equal(again, q_GK), "rounding twice changes nothing"


def test_rounding_is_for_cells() -> None:
    for case in ("tcn-none", "rglru-rms"):
        with pytest.raises(UsageError, match="recurrent"):
            quantize_cells(build(case))
    model = build("rnn-weight")
    quantize_cells(model)
    for cell in (module for module in model.modules() if isinstance(module, Cell)):
        for used, own in zip(cell.prepare(None)[:2], list(cell.parameters(recurse=False))[:2], strict=True):
            torch.testing.assert_close(used, own)
