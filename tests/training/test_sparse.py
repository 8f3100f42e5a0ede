"""Tables with sparse gradients: each row follows AdamW's paper, norms include them, and only touched rows take time."""

import time

import pytest
import torch
from torch import Tensor, nn

from charlm.data.batches import Batch
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.embeddings.bag_sum import bag_sum
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.settings import ModelSettings
from charlm.training.distributed import SingleProcess
from charlm.training.model_updater import ModelUpdater, UpdateResult
from charlm.training.optim.build import build_adamw
from charlm.training.optim.optimizers import clip_gradients
from charlm.training.optim.schedules import ScheduleInput
from charlm.training.optim.settings import AdamWSettings
from charlm.training.settings import TrainingSettings
from tests.training.test_optimizers import SETTINGS, loshchilov_hutter

CPU = torch.device("cpu")


class Table(nn.Module):
    def __init__(self, num_rows: int = 6) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(num_rows, 3, generator=torch.Generator().manual_seed(0)))


def sparse(rows: list[int], values: Tensor, num_rows: int = 6) -> Tensor:
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, (num_rows, 3), check_invariants=True)


def test_each_row_has_an_adamw_to_itself() -> None:
    """Its step count, moments and decay change only with gradients of the row."""
    model = Table()
    start = model.table.detach().clone()
    optimizer = build_adamw(SETTINGS, model)
    generator = torch.Generator().manual_seed(1)
    seen: dict[int, list[Tensor]] = {row: [] for row in range(6)}
    for rows in ([0, 2], [2], [5, 2, 0], [1], [2, 5], [0]):
        values = torch.randn(len(rows), 3, generator=generator)
        model.table.grad = sparse(rows, values)
        optimizer.step()
        for row, value in zip(rows, values, strict=True):
            seen[row].append(value)
    for row, gradients in seen.items():
        expected = loshchilov_hutter(start[row], gradients, SETTINGS, SETTINGS.weight_decay)
        torch.testing.assert_close(model.table.detach()[row], expected)
    assert torch.equal(model.table.detach()[[3, 4]], start[[3, 4]]), "what no gradient names does not move"
    assert optimizer.state[model.table]["step"].tolist() == [3, 1, 4, 0, 0, 2]


def test_gradients_of_a_duplicate_row_are_summed() -> None:
    models = [Table(), Table()]
    values = torch.randn(3, 3)
    models[0].table.grad = sparse([1, 4, 1], values)
    models[1].table.grad = sparse([1, 4], torch.stack([values[0] + values[2], values[1]]))
    for model in models:
        build_adamw(SETTINGS, model).step()
    torch.testing.assert_close(models[0].table, models[1].table)


def test_gradients_of_all_rows_give_the_dense_update() -> None:
    models = [Table(), Table()]
    optimizers = [build_adamw(SETTINGS, model) for model in models]
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        values = torch.randn(6, 3, generator=generator)
        models[0].table.grad, models[1].table.grad = sparse(list(range(6)), values), values.clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(models[0].table, models[1].table)


@pytest.mark.parametrize("max_norm", [0.5, 1e6, float("inf")])
def test_the_norm_includes_all_gradients(max_norm: float) -> None:
    """The sparse table is read twice, so that autograd adds two gradients with common rows."""
    table, weight = nn.Parameter(torch.randn(9, 3)), nn.Parameter(torch.randn(3, 2))
    idle = nn.Parameter(torch.zeros(2))
    results: list[list[Tensor]] = []
    for is_sparse in (True, False):
        table.grad = weight.grad = None
        for rows in ([1, 2, 2, 8], [2, 3]):
            sums_ND = bag_sum(table, torch.tensor(rows), torch.tensor([1, len(rows) - 1]), sparse=is_sparse)
            (sums_ND @ weight).square().sum().backward()
        assert table.grad is not None
        assert weight.grad is not None
        parameters = [table, weight, idle]
        norm = (clip_gradients if is_sparse else nn.utils.clip_grad_norm_)(parameters, max_norm)
        results.append([norm, table.grad.to_dense(), weight.grad])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_dense_gradients_are_clipped_as_torch_does() -> None:
    results: list[list[Tensor]] = []
    for clip in (clip_gradients, nn.utils.clip_grad_norm_):
        parameters = [nn.Parameter(torch.zeros(5, 3)), nn.Parameter(torch.zeros(7))]
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
        norm = clip(parameters, 0.3)
        results.append([norm, *(parameter.grad for parameter in parameters if parameter.grad is not None)])
    assert all(torch.equal(mine, other) for mine, other in zip(*results, strict=True))


# ---- in a model updater


def updater(num_buckets: int, *, weight_decay: float = 0.0) -> ModelUpdater:
    torch.manual_seed(0)
    embedding = TokenEmbeddingSettings(size=16, context_ngrams=(2, 3), context_buckets=num_buckets)
    model = build_model(ModelSettings(embedding=embedding, body=RecurrentSettings(hidden_size=8)), 100)
    settings = TrainingSettings(max_steps=10, precision="fp32", optimizer=AdamWSettings(weight_decay=weight_decay))
    return ModelUpdater(model.train(), settings, CPU, SingleProcess())


def learn(student: ModelUpdater, given: Batch, step: int) -> UpdateResult:
    return student.update(given, ScheduleInput(step, 0, 0.0, 0.0), num_scored=given.targets_BT.numel())


def batch(rows: int, steps: int, step: int = 0) -> Batch:
    tokens = torch.randint(0, 100, (rows, steps + 1), generator=torch.Generator().manual_seed(step))
    return Batch(tokens[:, :-1], tokens[:, 1:], torch.zeros(rows, dtype=torch.bool))


def test_only_the_rows_of_the_batch_change() -> None:
    student = updater(1000, weight_decay=0.5)
    table = student.model.get_parameter("embedding.table_KD")
    nn.init.normal_(table)
    before = table.detach().clone()
    update = learn(student, batch(2, 8), 0)
    assert update.applied
    moved = (table.detach() != before).any(dim=1)
    assert 16 < int(moved.sum()) <= 2 * 2 * 8
    assert torch.equal(student.tensors()["optimizer.embedding.table_KD.step"] > 0, moved)


def test_a_gradient_that_is_not_finite_changes_no_row() -> None:
    student = updater(50)
    learn(student, batch(2, 8), 0)
    table = student.model.get_parameter("embedding.table_KD")
    before = {name: tensor.clone() for name, tensor in student.tensors().items() if "table" in name}
    weights = table.detach().clone()
    with torch.no_grad():
        student.model.get_parameter("head.bias_V")[3] = float("nan")
    assert not learn(student, batch(2, 8, 1), 1).applied
    assert torch.equal(table.detach(), weights)
    assert all(torch.equal(student.tensors()[name], tensor) for name, tensor in before.items())
    assert table.grad is None


@pytest.mark.parametrize("shape", [(99,), (2, 1), (100, 1)])
def test_counts_that_do_not_fit_the_table_are_refused(shape: tuple[int, ...]) -> None:
    student = updater(50)
    learn(student, batch(2, 8), 0)
    tensors = student.tensors()
    student.load_tensors(tensors, 2)
    with pytest.raises(ValueError, match="instead of"):
        student.load_tensors(tensors | {"optimizer.embedding.table_KD.step": torch.ones(shape)}, 2)
    with pytest.raises(ValueError, match="instead of"):
        student.load_tensors(tensors | {"optimizer.head.bias_V.step": torch.ones(shape)}, 2)


def test_the_time_of_a_step_depends_on_the_touched_rows_only() -> None:
    """A table of 2,000,000 rows against one of 2,000: dense, its update alone would read and write 900 MB."""
    students = {size: updater(size) for size in (1_000, 1_000_000)}
    best = dict.fromkeys(students, float("inf"))
    for step in range(12):
        for size, student in students.items():
            started = time.perf_counter()
            learn(student, batch(4, 32, step), step)
            best[size] = min(best[size], time.perf_counter() - started)
    assert best[1_000_000] < 2 * best[1_000] + 0.01
