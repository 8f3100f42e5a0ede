"""The model in a page computes what Python's int8 step computes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from charlm.checkpoint import LoadedModel
from charlm.export.web_page.build_page import DEFAULT_MAX_BYTES, build_page
from charlm.nn.fused.compiled import load_compiled_library
from charlm.sampling.fast.stepper import choose_stepper
from tests.export.web_page.models import BYTES, CASES, TEXT, load_bundled, make_model
from tests.export.web_page.node_page import logits_in_node

TOLERANCE = 1e-4
LENGTH = 1000
NAMED = [*CASES][:5]
"""The models that the documentation names."""

pytestmark = pytest.mark.skipif(
    load_compiled_library() is None, reason="no compiler: the step in torch does not round its inputs to 16 bits"
)


@torch.inference_mode()
def logits_in_python(loaded: LoadedModel, ids: list[int]) -> npt.NDArray[np.float32]:
    stepper = choose_stepper(loaded.model, loaded.model.initial_state(1), "int8")
    assert stepper.name == "fast int8"
    return np.stack([stepper.step(torch.tensor([token]))[0].numpy().copy() for token in ids])


def check(loaded: LoadedModel, name: str, folder: Path, text: str, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
    page = build_page(loaded, name, max_bytes=max_bytes)
    path = folder / "page.html"
    path.write_text(page.text, encoding="utf-8")
    ids = [loaded.vocab.eod_id, *loaded.vocab.encode(text).tolist()]
    ids[len(ids) // 2] = loaded.vocab.eod_id
    expected, found = logits_in_python(loaded, ids), logits_in_node(path, ids)
    largest = float(np.abs(found - expected).max())
    print(f"{name}: {path.stat().st_size:,} bytes, {len(ids):,} ids, logits differ by at most {largest:.1e}")  # noqa: T201 - the figures, with -s
    assert expected.std(axis=0).max() > 0.1, "the model says different things at different places"
    assert largest < TOLERANCE
    second, best = np.sort(expected, axis=1)[:, -2:].T
    is_clear = best - second > TOLERANCE
    assert is_clear.mean() > 0.9
    assert (found.argmax(1) == expected.argmax(1))[is_clear].all()


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_python(case: str, tmp_path: Path) -> None:
    check(make_model(case), case, tmp_path, TEXT[: LENGTH if case in NAMED else LENGTH // 4])


def test_bytes_are_read_too(tmp_path: Path) -> None:
    check(make_model("lstm", BYTES), "bytes", tmp_path, TEXT[:200])


def test_the_bundled_model(tmp_path: Path) -> None:
    text = Path("README.md").read_text(encoding="utf-8")[:LENGTH]
    check(load_bundled(), "bundled", tmp_path, text)


def test_a_model_that_had_to_shrink_is_the_one_in_the_page(tmp_path: Path) -> None:
    """Vectors are rounded and n-grams are left out in Python too."""
    vectors, ngrams = make_model("n-gram embeddings"), make_model("n-gram component")
    before = vectors.model.state_dict()["embedding.table_KD"].clone()
    check(vectors, "rounded vectors", tmp_path, TEXT[: LENGTH // 4], max_bytes=_least_size("n-gram embeddings") - 100)
    change = (vectors.model.state_dict()["embedding.table_KD"] - before).abs().max()
    assert 0 < change < 0.05
    check(ngrams, "fewer n-grams", tmp_path, TEXT[: LENGTH // 4], max_bytes=_least_size("n-gram component") - 1000)


def _least_size(case: str) -> int:
    """The size of a page that holds all of the model."""
    return len(build_page(make_model(case), "x").text.encode())
