"""The score of labels: shards add up to the whole, and all of them call back equally often."""

from pathlib import Path

import pytest
import torch

from charlm.evaluation import predict_rows
from charlm.evaluation.evaluate_labels import evaluate_labels
from charlm.nn.build import Outputs, build_model
from charlm.nn.settings import ModelSettings
from charlm.training.tasks.build import build_decoder
from tests.examples import write_problem

CPU = torch.device("cpu")


@pytest.mark.parametrize("problem", ["first", "next"])
@pytest.mark.parametrize("num_shards", [1, 2, 3, 20])
def test_shards_add_up_and_report_equally_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str, num_shards: int
) -> None:
    """Processes agree on signals at each report: one report more on one of them would wait for ever."""
    monkeypatch.setattr(predict_rows, "_MAX_ROWS", 3)
    corpus = write_problem(tmp_path, problem, num_train=20, num_valid=13)
    assert corpus.labels is not None
    outputs = Outputs(corpus.labels.size, per_document=problem == "first")
    model = build_model(ModelSettings.model_validate({"body": {"hidden_size": 4}}), corpus.vocab.size, None, outputs)
    examples, decoder = corpus.open_examples("valid"), build_decoder(corpus.task, corpus.labels.names)
    whole = evaluate_labels(model, examples, decoder, device=CPU)
    reports: list[list[int]] = []
    total = whole.with_sums([0.0] * len(whole.sums()))
    for index in range(num_shards):
        reports.append([])
        total += evaluate_labels(
            model, examples, decoder, device=CPU, shard=(index, num_shards), on_progress=reports[-1].append
        )
    assert len({len(each) for each in reports}) == 1
    assert len(reports[0]) == -(-len(range(0, 13, num_shards)) // 3)
    assert sum(map(sum, reports)) == int((examples.ends - examples.starts).sum())
    assert total.sums()[1:] == whole.sums()[1:]
    assert total.nats == pytest.approx(whole.nats, rel=1e-5)
