"""`scripts/results cells`: equal sizes, the choice of learning rates and of the best two cells, and the table."""

import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from charlm.experiment import load_experiment, read_layers
from charlm.nn.build import build_meta_model

ROOT = Path(__file__).parents[1]
CONTENT: dict[str, Any] = tomllib.loads((ROOT / "scripts" / "results_cells.toml").read_text(encoding="utf-8"))
CELLS = [cell["name"] for cell in CONTENT["cells"]]


@pytest.fixture(scope="module")
def cells() -> ModuleType:
    specification = importlib.util.spec_from_file_location("results_cells", ROOT / "scripts" / "results_cells.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["results_cells"] = module
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("cell", CONTENT["cells"], ids=CELLS)
@pytest.mark.parametrize("millions", [size["millions"] for size in CONTENT["sizes"]])
def test_all_cells_have_as_many_parameters(cells: ModuleType, cell: dict[str, Any], millions: int) -> None:
    settings = (*CONTENT["settings"], *cell["settings"])
    units = cells.choose_hidden_size(settings, 1_000_000 * millions, 700)
    layers = read_layers("lstm", (), (*settings, f"model.body.hidden_size={units}"))
    parameters = build_meta_model(load_experiment(layers).model, 700).num_parameters
    assert parameters == pytest.approx(1_000_000 * millions, rel=0.08)


@pytest.fixture
def group(cells: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(cells, "FOLDER", tmp_path)
    return cells.Group("enwik8", CONTENT["sizes"][0], CONTENT, 256)


def save(training: Any, bits: float, updates: int, test_bits: float = 0.0) -> None:
    """Save a result with the same bits at each of two validations."""
    found = {
        "updates": updates,
        "characters": 1024 * updates,
        "parameters": 1_000_000,
        "validations": [{"characters": 1000, "bits": bits}, {"characters": 2000, "bits": bits - 0.1}],
        "score": {"bits_per_byte": test_bits},
    }
    training.result.write_text(json.dumps(found), encoding="utf-8")


def search(group: Any, without: int = 0) -> None:
    """Save the minutes of all learning rates: the second is the best for each cell, and the first cell the slowest."""
    trainings = group.search()
    for number, training in enumerate(trainings[: len(trainings) - without]):
        rate = number % 3
        save(training, 2.5 if rate == 1 else 2.6, 100 + 10 * (number // 3))


def test_nothing_is_chosen_before_the_search_is_done(group: Any) -> None:
    search(group, without=1)
    assert group.chosen() == []


def test_the_best_learning_rate_is_chosen_and_validated_where_the_slowest_cell_ends(group: Any) -> None:
    search(group)
    chosen = group.chosen()
    assert [training.cell for training in chosen] == CELLS
    assert {training.learning_rate for training in chosen} == {1.8e-3}  # 4e-3 over the root of five
    assert {training.validation_interval for training in chosen} == {500}
    assert {training.minutes for training in chosen} == {5.0}
    assert group.more_seeds() == []  # the trainings of seed 0 are to come


def test_the_best_two_cells_are_trained_with_more_seeds_and_the_table_shows_their_median(
    cells: ModuleType, group: Any
) -> None:
    search(group)
    for number, training in enumerate(group.chosen()):
        save(training, 3 - 0.1 * number, 1000 + number, test_bits=2.5)
    more = group.more_seeds()
    assert [(training.cell, training.seed) for training in more] == [
        (CELLS[4], 1), (CELLS[4], 2), (CELLS[3], 1), (CELLS[3], 2)
    ]  # fmt: skip
    for training, test_bits in zip(more, (2.2, 2.4, 2.6, 2.7), strict=True):
        save(training, 2.6, 1000, test_bits)
    lines = cells._lines(group)
    units = [training.hidden_size for training in group.chosen()]
    assert lines[0] == (f"| enwik8, 4 MB | 1.00M | LSTM | {units[0]} | 0.0018 | 1.02M | 3.000 (0.00M) | 2.500 |")
    assert lines[3].endswith("| 2.700 (0.00M) | 2.600 (2.500 to 2.700) |")
    assert lines[4].endswith("| **2.600** (0.00M) | **2.400** (2.200 to 2.500) |")


def test_a_summary_has_the_bits_per_token_of_validations(cells: ModuleType) -> None:
    entries = [
        {"kind": "train", "step": 5, "characters_seen": 10, "seconds": 1.0},
        {"kind": "valid", "step": 5, "characters_seen": 10, "nats": 6.931471805599453, "tokens": 5},
        {"kind": "train", "step": 9, "characters_seen": 18, "seconds": 2.5},
    ]
    assert cells.summarize(entries) == {
        "updates": 9,
        "characters": 18,
        "seconds": 2.5,
        "validations": [{"characters": 10, "bits": pytest.approx(2.0)}],
    }
