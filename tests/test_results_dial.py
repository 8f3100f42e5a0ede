"""`scripts/results dial`: its candidates are valid, and its table shows what was found."""

import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from charlm.experiment import load_experiment, read_layers

ROOT = Path(__file__).parents[1]
CONTENT: dict[str, Any] = tomllib.loads((ROOT / "scripts" / "results_dial.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def dial() -> ModuleType:
    specification = importlib.util.spec_from_file_location("results_dial", ROOT / "scripts" / "results_dial.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["results_dial"] = module
    specification.loader.exec_module(module)
    return module


def test_the_candidates_are_experiments() -> None:
    for candidate in CONTENT["candidates"].values():
        load_experiment(read_layers("laptop", (), candidate["settings"]))
    assert len(CONTENT["candidates"]) == 3


OLD = """\
| corpus | minutes | chosen |
|---|---|---|
| Armenian | 3 | of another day |
| Ukrainian | 0.5 | replaced |
| Latin | 3 | of no corpus of these |
"""


def found(valid: float, test: float) -> dict[str, Any]:
    scores = {
        split: {"bits_per_character": bits, "parts": {"network": bits + 1}}
        for split, bits in (("valid", valid), ("test", test))
    }
    experiment = {"model": {"body": {"hidden_size": 1024}}, "training": {"batch_size": 16, "seq_len": 64}}
    return {"scores": scores, "experiment": experiment, "gemm_peak_gflops": 70}


def test_the_best_candidate_is_chosen_on_the_validation_text(
    dial: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "results.md"
    begin, end = "<!-- dial: written by scripts/results -->", "<!-- end of dial: written by scripts/results -->"
    page.write_text(f"before\n{begin}\n{OLD}{end}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(dial, "PAGE", page)
    monkeypatch.setattr(dial, "FOLDER", tmp_path)
    bits = {"auto": (1.6, 1.5), "small": (1.9, 1.0), "middle": (1.5, 1.6), "large": (1.7, 1.4)}
    for name, (valid, test) in bits.items():
        (tmp_path / f"ukwiki-0.5-{name}.json").write_text(json.dumps(found(valid, test)), encoding="utf-8")
    (tmp_path / "bnwiki-3-auto.json").write_text(json.dumps(found(1, 1)), encoding="utf-8")  # the others are to come
    dial._write(CONTENT)
    row = "| Ukrainian | 0.5 | 1,024, 16 x 64 | **1.500** | 2.500 | 1.000 | **1.600** | 1.400 | -6.2% | 70 |"
    written = page.read_text(encoding="utf-8")
    assert row in written
    assert "| Armenian | 3 | of another day |\n" + row in written
    assert "replaced" not in written
    assert "Latin" not in written
    assert "Bengali" not in written
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
