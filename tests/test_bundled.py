"""The model that comes with charlm: small, licensed, there before any run, and out of the way once there is one."""

import json
from pathlib import Path

import pytest

import charlm
from charlm.experiment import load_experiment, read_layers
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, lists_to_tuples, validate
from tests.processes import Commands
from tests.workspaces import RUN

BUNDLED = Path(charlm.__file__).with_name("bundled")
MOST_BYTES = 2_000_000


@pytest.fixture
def empty(charlm_server: str, tmp_path: Path) -> Commands:
    return Commands(charlm_server, tmp_path)


def test_it_is_small_and_says_what_it_is() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) < MOST_BYTES
    about = json.loads((BUNDLED / "model.json").read_text(encoding="utf-8"))
    assert "PSF" in about["licence"]
    assert about["licence"] in (BUNDLED / "CARD.md").read_text(encoding="utf-8").replace("\n", " ")
    model = load_experiment(read_layers("bundled", (), ())).model
    trained = validate(ModelSettings, Layer(lists_to_tuples(about["settings"])))
    assert trained == model, "run scripts/bundle"


def test_it_writes_until_there_is_a_run_and_says_so(empty: Commands) -> None:
    written = empty.succeed("sample", "--prompt", "The ", "--length", "80", "--seed", "1")
    assert written.stdout.startswith("The ")
    assert "the bundled model" in written.stderr
    assert "charlm train" in written.stderr
    assert not list(empty.folder.iterdir())
    named = empty.succeed("sample", "bundled", "--prompt", "The ", "--length", "80", "--seed", "1")
    assert named.stdout == written.stdout
    assert not named.stderr


def test_it_steps_back_behind_a_run(toured: Commands) -> None:
    assert "bundled" not in toured.succeed("sample", "--length", "5").stderr
    assert toured.json("sample", "--length", "30") == toured.json("sample", str(RUN), "--length", "30")
    assert toured.json("sample", "bundled", "--length", "30") != toured.json("sample", "--length", "30")


def test_temperature_makes_its_text_wilder(empty: Commands) -> None:
    """In the model's own eyes."""
    bits: list[float] = []
    for temperature in ("0.2", "1", "1.5"):
        text = empty.json("sample", "bundled", "--temperature", temperature, "--length", "600")["text"]
        (empty.folder / "text.txt").write_text(str(text), encoding="utf-8")
        bits.append(float(empty.json("eval", "bundled", "--text", "text.txt")["bits_per_character"]))
    assert 2 * bits[0] < bits[1] < bits[2] / 1.3


def test_it_knows_the_language_of_its_text(empty: Commands) -> None:
    for name, text in (
        ("python", "The for statement is used to iterate over a sequence."),
        ("noise", "qzx jvw kkq zzx"),
    ):
        (empty.folder / name).write_text(text, encoding="utf-8")
    known, noise = (empty.json("eval", "--text", name)["bits_per_character"] for name in ("python", "noise"))
    assert known < 2.5 < 5 < noise
    explained = empty.json("explain", "bundled", "A list is a mutable sequence.")
    assert explained["bits_per_character"] < 3


def test_what_is_not_to_be_done_with_it_is_said(empty: Commands) -> None:
    (empty.folder / "text.txt").write_text("abc\n" * 2000, encoding="utf-8")
    empty.succeed("prepare", "--source", "text", "--input", "text.txt", "--workers", "1")
    assert "cannot be tuned" in empty.fail(2, "tune", "bundled")
    assert "there is no run yet" in empty.fail(2, "eval")
