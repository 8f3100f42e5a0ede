"""The baselines of a prepared corpus: weights count, and long pairs are left out and said."""

from pathlib import Path

import pytest

from charlm.data.settings import CorpusSettings
from charlm.evaluation.transduction_baselines import run
from charlm.evaluation.transduction_baselines.run import run_transduction_baselines
from charlm.text.examples.settings import TableSettings
from tests.text.examples.example_cases import TRANSDUCE
from tests.workflows.test_prepare_examples import make


def test_weights_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "valid", "test"):
        rows = "".join(f"w{number}\tx{number}\t1\n" for number in range(20))
        (tmp_path / f"{split}.tsv").write_text(
            f"text\ttarget\tweight\nab\tone\t1\nab\ttwo\t10\n{rows}", encoding="utf-8"
        )
    paths = {split: (str(tmp_path / f"{split}.tsv"),) for split in ("train", "valid", "test")}
    source = TableSettings.model_validate({**paths, "weight_column": "weight"})
    corpus = make(CorpusSettings(task=TRANSDUCE, source=source), tmp_path / "corpus")
    found = {each.name: each for each in run_transduction_baselines(corpus, "test", lambda *_: None)}
    frequent = found["most frequent"]
    assert frequent.num_pairs == 22
    assert frequent.counts.is_correct_U.tolist() == [1] * 21
    assert frequent.counts.weights_U.tolist() == [11.0, *[1.0] * 20]
    assert frequent.has_weights
    monkeypatch.setattr(run, "_MAX_NODES", 60)
    joint = list(run_transduction_baselines(corpus, "test", lambda *_: None))[-1]
    assert joint.num_pairs < 10
    assert "or for memory" in joint.description
