"""lm-evaluation-harness scores documents over HTTP as `charlm eval` does, without the closing <eod>."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from charlm.workflows.evaluate import EvalRequest, score_run
from tests.export.peers import run_peer
from tests.processes import Commands
from tests.serving.live_server import live_server
from tests.workspaces import RUN

DOCUMENTS = ["Мы из неё.", "café 東京 🙂 ☃\n\nи не на я", "съешь ещё мягких " * 20, " "]
TASK = """\
task: documents
dataset_path: json
dataset_kwargs: {data_files: {test: documents.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: bits_per_byte}]
"""
HARNESS = "from lm_eval.__main__ import cli_evaluate; cli_evaluate()"
TOLERANCE = 1e-6


@pytest.mark.peers
def test_the_harness_scores_documents_as_charlm_does(workspace: Commands) -> None:
    folder = workspace.folder
    (folder / "documents.yaml").write_text(TASK, encoding="utf-8")
    rows = "".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS)
    (folder / "documents.jsonl").write_text(rows, encoding="utf-8")
    with live_server(workspace, str(RUN)) as server:
        address = f"http://{urlsplit(server.url).netloc}/v1/completions"
        model = f"model=tiny-texts,tokenizer_backend=remote,max_length=4096,base_url={address}"
        command = ("--model", "local-completions", "--model_args", model, "--tasks", "documents", "--include_path", ".")
        run_peer("lm-eval", HARNESS, *command, "--output_path", "found", "--log_samples", folder=folder)
    (samples,) = (folder / "found").rglob("samples_documents_*.jsonl")
    found = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    by_text = {each["doc"]["text"]: float(each["resps"][0][0]) for each in found}
    assert [*by_text] == DOCUMENTS
    for text in DOCUMENTS:
        assert by_text[text] == pytest.approx(-nats_without_eod(folder, text), rel=TOLERANCE)


def nats_without_eod(folder: Path, text: str) -> float:
    request = EvalRequest(text=text, device="cpu")
    result = score_run(str(folder / RUN), None, request, lambda done, total: None)
    assert result.first_token == 1, "<eod> is read, and not scored"
    assert int(result.stream.tokens[-1]) == result.vocab.eod_id
    return float(result.nats_P[:-1].sum(dtype="float64"))
