"""Archives of this format stay readable: those in `golden` decode, and are written again byte for byte, in every
way."""

import io
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from charlm import workspace
from charlm.archives import range_coder
from charlm.archives.archive import MODEL_FILES
from charlm.archives.archive_reader import ArchiveReader
from charlm.archives.compress import compress
from charlm.archives.integer_model import predictor
from charlm.archives.integer_model.compiled import PATHS, CompiledNetwork, available_paths, load_network_library
from charlm.archives.integer_model.parse_model import parse_model
from charlm.archives.integer_model.predictor import IntegerPredictor
from charlm.archives.model import CompressionModel
from charlm.vocab.build import load_vocab
from charlm.workflows.compress import open_run_model
from tests.archives.archives import pack, unpack
from tests.archives.record_golden import BUNDLED, CONTENT, EMBEDDED, NUM_LANES

WAYS = [(path, threads) for path in PATHS for threads in (1, 2, 8)] + [("numpy", 1)]


@pytest.fixture(scope="module")
def embedded() -> Iterator[Path]:
    """The files of the model in the golden archive."""
    with tempfile.TemporaryDirectory() as name:
        ArchiveReader(io.BytesIO(EMBEDDED.read_bytes()), "it").extract_model(Path(name))
        yield Path(name)


def choose_way(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let predictors take a path of the C code, with a thread for each lane if they may; or numpy and Python."""
    library = load_network_library()
    if path == "numpy":
        monkeypatch.setattr(predictor, "load_network_library", lambda: None)
        monkeypatch.setattr(predictor, "load_counts_library", lambda: None)
        monkeypatch.setattr(range_coder, "load_coder_library", lambda: None)
        return
    if library is None or path not in available_paths(library):
        pytest.skip(f"no {path} here")
    monkeypatch.setenv("CHARLM_INTEGER_PATH", path)
    monkeypatch.setattr(predictor, "CompiledNetwork", partial(CompiledNetwork, macs_per_thread=1))


def open_embedded(folder: Path, threads: int) -> CompressionModel:
    model = parse_model((folder / MODEL_FILES[0]).read_bytes(), "it")
    name = ArchiveReader(io.BytesIO(EMBEDDED.read_bytes()), "it").header.name
    return CompressionModel(IntegerPredictor(model, threads), load_vocab(folder), name, lambda: IntegerPredictor(model))


@pytest.mark.parametrize(("path", "threads"), WAYS)
def test_the_archive_with_its_model(embedded: Path, path: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_way(path, monkeypatch)
    model = open_embedded(embedded, threads)
    files = {name: embedded / name for name in MODEL_FILES if (embedded / name).exists()}
    sink = io.BytesIO()
    compress(io.BytesIO(CONTENT), sink, model, lambda _: None, num_lanes=NUM_LANES, verify=False, model_files=files)
    assert sink.getvalue() == EMBEDDED.read_bytes()
    without_model = pack(CONTENT, model, num_lanes=NUM_LANES)
    assert unpack(without_model, model) == CONTENT


@pytest.mark.parametrize(("path", "threads"), [("plain", 1), ("avx2", 2), ("vnni", 8)])
def test_the_archive_of_the_bundled_model(path: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_way(path, monkeypatch)
    model = open_run_model(workspace.BUNDLED, None)
    assert isinstance(model.predictor, IntegerPredictor)
    model = replace(model, predictor=IntegerPredictor(model.predictor.model, threads))
    assert unpack(BUNDLED.read_bytes(), model) == CONTENT
    assert pack(CONTENT, model, num_lanes=NUM_LANES) == BUNDLED.read_bytes()


def test_eight_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight lanes, so that each thread has one."""
    choose_way("plain", monkeypatch)
    model = open_run_model(workspace.BUNDLED, None)
    assert isinstance(model.predictor, IntegerPredictor)
    found: set[bytes] = set()
    for threads in (1, 2, 8):
        with_threads = replace(model, predictor=IntegerPredictor(model.predictor.model, threads))
        found.add(pack(CONTENT * 4, with_threads, num_lanes=8))
    assert len(found) == 1
