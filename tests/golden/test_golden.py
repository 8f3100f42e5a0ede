"""What this version computes, compared with what charlm 0.1.0 computed and wrote (recorded by `record.py`).

Corpora of dumps are compared with those of the last version that changed the cleaner on purpose.

On the kind of machine that recorded them, results are equal to the bit; elsewhere losses agree to a tolerance.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_ranks import run_ranks
from tests.golden.experiments import DUMPS, EXPERIMENTS, VOCABULARIES, arguments
from tests.golden.machine import describe_machine
from tests.golden.record import (
    EVAL,
    PAIR,
    RESUME,
    SAMPLE,
    corpus_hashes,
    logged,
    prepare_dump,
    weights_hash,
)
from tests.processes import Commands
from tests.workspaces import snapshot, texts, write_texts

GOLDEN = Path(__file__).with_name("charlm-0.1.0")
LOSSES: dict[str, Any] = json.loads((GOLDEN / "losses.json").read_text(encoding="utf-8"))
RESULTS: dict[str, Any] = json.loads((GOLDEN / "results.json").read_text(encoding="utf-8"))
DUMP_HASHES: dict[str, Any] = json.loads(Path(__file__).with_name("dumps.json").read_text(encoding="utf-8"))
SAME_MACHINE = LOSSES["machine"] == describe_machine()
TOLERANCE = 2e-3  # relative; eight steps of training magnify the last bits of other processors


@pytest.fixture
def recorded(commands: Commands) -> Commands:
    """The corpus and the run that 0.1.0 wrote, in a folder of the test's own."""
    for kept in ("data/char", "runs/lstm"):
        shutil.copytree(GOLDEN / kept, commands.folder / kept)
    return commands


def assert_same(found: Any, expected: Any) -> None:
    """Equal to the bit on the machine that recorded; elsewhere numbers may differ a little."""
    assert found == (expected if SAME_MACHINE else pytest.approx(expected, rel=TOLERANCE))


def assert_same_log(run: Path, expected: list[dict[str, Any]]) -> None:
    found = logged(run)
    assert len(found) == len(expected)
    for found_line, expected_line in zip(found, expected, strict=True):
        assert found_line["kind"] == expected_line["kind"]
        numbers = [{key: value for key, value in line.items() if key != "kind"} for line in (found_line, expected_line)]
        assert_same(*numbers)


def test_a_corpus_is_byte_identical(commands: Commands) -> None:
    write_texts(commands.folder / "texts", texts())
    commands.succeed("prepare", "--source", "text", "--input", "texts", "--out", "data/char")
    assert snapshot(commands.folder / "data" / "char") == snapshot(GOLDEN / "data" / "char")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_training_repeats_the_recorded_losses(name: str, recorded: Commands) -> None:
    corpus = EXPERIMENTS[name][0]
    if corpus != "char":
        vocabulary = VOCABULARIES[corpus]
        recorded.succeed("prepare", "--data", "data/char", "--vocab", vocabulary, "--out", f"data/{corpus}")
    run = f"runs/again-{name}"
    recorded.succeed("train", "--data", f"data/{corpus}", "--out", run, *arguments(name))
    assert_same_log(recorded.folder / run, LOSSES[name]["log"])
    if SAME_MACHINE:
        assert weights_hash(recorded.folder / run) == LOSSES[name]["weights"]


def test_two_ranks_repeat_the_recorded_losses(recorded: Commands) -> None:
    run_ranks(recorded, *PAIR)
    assert_same_log(recorded.folder / "runs/pair", LOSSES["pair"]["log"])
    if SAME_MACHINE:
        assert weights_hash(recorded.folder / "runs/pair") == LOSSES["pair"]["weights"]


@pytest.mark.real_data
@pytest.mark.parametrize("dump", DUMPS)
def test_the_corpus_of_a_dump_is_byte_identical(dump: str, shared_data: Path, commands: Commands) -> None:
    commands.succeed(*prepare_dump(commands.folder, shared_data / "mediawiki" / dump))
    assert corpus_hashes(commands.folder / "data" / "dump") == DUMP_HASHES[dump]


def test_a_recorded_run_scores_as_it_did(recorded: Commands) -> None:
    found, expected = json.loads(recorded.succeed(*EVAL).stdout), RESULTS["eval"]
    assert found.keys() >= expected.keys()
    for key, value in expected.items():
        if isinstance(value, float):
            assert found[key] == pytest.approx(value, rel=1e-9 if SAME_MACHINE else 1e-5)
        else:
            assert found[key] == value


def test_a_recorded_run_samples_the_same_text(recorded: Commands) -> None:
    assert json.loads(recorded.succeed(*SAMPLE).stdout) == RESULTS["sample"]


def test_a_recorded_run_goes_on_as_it_did(recorded: Commands) -> None:
    recorded.succeed(*RESUME)
    assert_same_log(recorded.folder / "runs/lstm", RESULTS["resumed_log"])
    if SAME_MACHINE:
        assert weights_hash(recorded.folder / "runs/lstm") == RESULTS["resumed_weights"]
