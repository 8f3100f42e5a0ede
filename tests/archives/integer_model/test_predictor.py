"""The predictor of a checkpoint: the file that is written once, and frequencies that encoder and decoder share."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from charlm.archives.integer_model import compiled, compiled_counts
from charlm.archives.integer_model.convert import convert_model
from charlm.archives.integer_model.description import CountsDescription
from charlm.archives.integer_model.files import FILE_NAME, open_predictor
from charlm.archives.integer_model.layout import IntegerModel
from charlm.archives.integer_model.parse_model import parse_model
from charlm.archives.integer_model.predictor import IntegerPredictor
from charlm.archives.integer_model.supported import find_unsupported
from charlm.archives.predictor import TOTAL, LanePredictor
from charlm.errors import CheckpointError, UsageError
from tests.archives.integer_model.models import random_symbols
from tests.archives.integer_model.ngram_models import V, ngram_model, training_tables
from tests.nn.model_cases import CASES, SMALL, build, model_settings

BUNDLED = Path(compiled.__file__).parents[2] / "bundled"
REFUSED = {
    "mingru": "mingru",
    "rglru": "rglru",
    "window": "body window",
    "tcn": "body tcn",
    "batch": "batch normalisation",
    "mogrifier": "Mogrifier",
    "before": "reset=before",
    "relu": "relu",
    "stride": "strides or dilations",
    "dilat": "strides or dilations",
    "adaptive": "head adaptive",
    "ngram-": "embedding ngram",
    "contextual": "embedding contextual",
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLED, tmp_path / "checkpoint"))


def small_model() -> IntegerModel:
    return convert_model(build("lstm-layer"), SMALL.eod_id, "", CountsDescription(orders=(1, 2, 4), slot_bits=8))


def test_the_integer_model_is_written_once(checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="has no integer model yet"):
        open_predictor(checkpoint, prepare=False)
    first = open_predictor(checkpoint, prepare=True)
    content = (checkpoint / FILE_NAME).read_bytes()
    again = open_predictor(checkpoint, prepare=True)
    assert (checkpoint / FILE_NAME).read_bytes() == content
    assert first.digest == again.digest == open_predictor(checkpoint, prepare=False).digest


def test_other_weights_or_a_damaged_file_are_refused(checkpoint: Path) -> None:
    open_predictor(checkpoint, prepare=True)
    path = checkpoint / FILE_NAME
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(CheckpointError, match="is damaged"):
        open_predictor(checkpoint, prepare=True)
    model = parse_model(content, "it")
    path.write_bytes(IntegerModel(model.description, model.arrays, "00" * 32).to_bytes())
    with pytest.raises(CheckpointError, match="was made from other weights"):
        open_predictor(checkpoint, prepare=True)


def test_encoder_and_decoder_see_the_same_frequencies() -> None:
    encoder: LanePredictor = IntegerPredictor(small_model(), 1)
    decoder: LanePredictor = IntegerPredictor(small_model(), 2)
    encoder.start(5)
    decoder.start(5)
    for step, symbols in enumerate(random_symbols(5, 30)):
        active = symbols[: 3 + 2 * (step < 20 or step > 25)]
        frequencies = decoder.frequencies(len(active)).copy()
        low, own = encoder.intervals(active)
        ends = frequencies.cumsum(axis=1)
        np.testing.assert_array_equal(own, frequencies[np.arange(len(active)), active])
        np.testing.assert_array_equal(low, ends[np.arange(len(active)), active] - own)
        assert (ends[:, -1] == TOTAL).all()
        decoder.advance(active)


def test_without_a_compiler_the_frequencies_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = IntegerPredictor(small_model())
    monkeypatch.setattr("charlm.archives.integer_model.predictor.load_network_library", lambda: None)
    monkeypatch.setattr("charlm.archives.integer_model.predictor.load_counts_library", lambda: None)
    slow = IntegerPredictor(small_model())
    for predictor in (fast, slow):
        predictor.start(3)
    for symbols in random_symbols(3, 40):
        np.testing.assert_array_equal(fast.frequencies(3), slow.frequencies(3))
        fast.advance(symbols)
        slow.advance(symbols)


def test_both_libraries_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLM_COMPILE", "0")
    assert compiled.load_network_library.__wrapped__() is None
    assert compiled_counts.load_counts_library.__wrapped__() is None


def test_a_model_that_reads_backwards_is_refused() -> None:
    backward = model_settings(next(iter(CASES))).model_copy(update={"direction": "backward"})
    found = find_unsupported(backward)
    assert found is not None
    assert found[0] == "reads a text from its end"


@pytest.mark.parametrize("case", CASES)
def test_what_has_no_integer_form_is_named(case: str) -> None:
    found = find_unsupported(model_settings(case))
    expected = [part for name, part in REFUSED.items() if name in case]
    if found is None:
        assert not expected or case in ("rnn-batch",)
    else:
        assert any(part in found[0] for part in expected), (found, "is a new part refused? add it to REFUSED here")


def test_an_ngram_component_gives_its_tables_to_the_counts() -> None:
    counts = CountsDescription(orders=(1, 2, 4), slot_bits=6)
    model = convert_model(ngram_model(), V - 1, "", counts)
    assert model.description.counts is not None
    assert model.description.counts.table_sizes == tuple(len(table.keys) for table in training_tables().orders[:4])
    assert model.description.counts.table_orders == (1, 2, 4)
    predictor = IntegerPredictor(parse_model(model.to_bytes(), "it"))
    predictor.start(1)
    bits = [float(24 - np.log2(predictor.intervals(np.array([step % 6]))[1][0])) for step in range(12)]
    assert np.mean(bits[3:]) < 0.6 * np.log2(V)


def test_starts_whose_differences_wrap_around_are_refused() -> None:
    model = convert_model(ngram_model(), V - 1, "", CountsDescription(orders=(1, 2, 4), slot_bits=6))
    starts = model.arrays["ngrams.3.starts"].copy()
    starts[1:3] = 2**31 - 1, -2
    arrays = {**model.arrays, "ngrams.3.starts": starts}
    with pytest.raises(CheckpointError, match="the n-grams of the training text"):
        parse_model(IntegerModel(model.description, arrays).to_bytes(), "it")


@pytest.mark.parametrize("name", ["tokens", "starts", "counts"])
def test_tables_that_contradict_each_other_are_refused(name: str) -> None:
    model = convert_model(ngram_model(), V - 1, "", CountsDescription(orders=(1, 2, 4), slot_bits=6))
    arrays = {**model.arrays, f"ngrams.3.{name}": -model.arrays[f"ngrams.3.{name}"][::-1]}
    with pytest.raises(CheckpointError, match="the n-grams of the training text"):
        parse_model(IntegerModel(model.description, arrays).to_bytes(), "it")
