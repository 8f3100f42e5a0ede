"""`scripts/results`: its configs exist, its networks have one size, and its tables and picture show what was found."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from charlm.experiment import load_experiment, read_layers
from charlm.nn.build import build_meta_model

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "charlm" / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def results() -> ModuleType:
    specification = importlib.util.spec_from_file_location("results", ROOT / "scripts" / "results.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["results"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def plan(results: ModuleType) -> Any:
    return results.Plan.read(Path("shared"), ())


def test_every_config_and_corpus_that_is_asked_for_is_there(plan: Any) -> None:
    for name in plan.configs():
        assert (ROOT / "configs" / f"{name}.toml").is_file()
    for row in (*plan.recipes, *plan.ideas["rows"]):
        assert row.get("corpus", plan.ideas["corpus"]) in plan.corpora
        assert f"`{row['config']}`" in PAGE or f"`ideas/{row['config']}`" in PAGE
    shipped = {path.stem for path in (ROOT / "configs" / "ideas").glob("*.toml")}
    assert shipped == {row["config"] for row in plan.ideas["rows"]}


def test_ideas_on_characters_are_compared_at_equal_parameters(plan: Any) -> None:
    """Of the network that runs; the tables of context n-grams are said to come on top."""
    for row in plan.ideas["rows"]:
        if "corpus" not in row and row["config"] != "context-ngrams":
            model = load_experiment(
                read_layers(str(ROOT / "configs" / "ideas" / f"{row['config']}.toml"), (), ())
            ).model
            assert build_meta_model(model, 322, None).num_parameters == pytest.approx(500_000, rel=0.025), row["config"]


def test_a_misspelled_name_is_answered_with_all_of_them(results: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"no ideas/grue; there are .*ideas/gru"):
        results.Plan.read(Path("shared"), ["ideas/grue"])


def result(bits: float) -> dict[str, Any]:
    score = {"bits_per_character": bits, "bits_per_byte": bits / 2, "interval": [bits - 0.1, bits + 0.2]}
    return {
        "score": score,
        "parameters": 500_000,
        "characters_seen": 1_000_000,
        "loop_seconds": 30.0,
        "command_seconds": 33.0,
        "gemm_peak_gflops": 150,
    }


def test_tables_tell_the_median_in_the_right_unit(
    results: ModuleType, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert results._recipes(plan) == results._ideas(plan) == results._samples() == results._baseline_table() == []
    recipe = next(recipe for recipe in plan.recipes if recipe["unit"] == "nats_per_character")
    for training, bits in zip(plan.trainings_of(recipe), (2.0, 3.0, 1.0), strict=True):
        training.result.parent.mkdir(parents=True)
        training.result.write_text(json.dumps(result(bits)), encoding="utf-8")
    (row,) = results._recipes(plan)[2:]
    assert "**1.386** nats per character (0.693 to 2.079)" in row
    assert row.count("|") == results._recipes(plan)[0].count("|")
    first = plan.ideas["rows"][0]
    for training, bits in zip(plan.trainings_of_idea(first), (2.5, 2.25), strict=True):
        training.result.parent.mkdir(parents=True)
        training.result.write_text(json.dumps(result(bits)), encoding="utf-8")
    (row,) = results._ideas(plan)[2:]
    assert "**2.500**" in row
    assert "**2.250** | 2.150 to 2.450" in row
    assert row.count("|") == results._ideas(plan)[0].count("|")


def test_entropy_of_trigrams(results: ModuleType) -> None:
    assert results._entropy("abcabcabca") == pytest.approx(2 * 3 / 8 * 1.415037 + 2 / 8 * 2)
    assert results._entropy("aaaa") == 0


def test_the_picture_is_drawn_from_the_tables(results: ModuleType, plan: Any, tmp_path: Path) -> None:
    path = tmp_path / "images" / "minutes.svg"
    results.draw_picture(PAGE, plan.picture, path)
    assert path.read_bytes().startswith(b"<?xml")
    committed = results.PICTURE
    assert committed.stat().st_size < 100_000
    for name, label in (*plan.picture["baselines"], *plan.picture["recipes"]):
        assert f"<!-- {label}  " in committed.read_text(encoding="utf-8"), name


def test_the_baselines_are_a_table(results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = results.RESULTS / "baselines.json"
    path.parent.mkdir(parents=True)
    rows = [{"model": "xz, given train", "description": "xz", "bits_per_character": 2.5183}]
    path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    assert results._baseline_table()[2:] == ["| `xz`, given train | xz | 2.518 |"]
