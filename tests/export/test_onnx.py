"""`--format onnx`: the step in onnxruntime is the step in Python, for every network; the file alone writes text.

B batch, T time.
"""

import importlib
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charlm.checkpoint import LoadedModel
from charlm.errors import UsageError
from charlm.export.exported_model import ExportedModel
from charlm.export.formats import find_format
from charlm.nn.build import build_model
from charlm.nn.ngrams.settings import NgramComponentSettings
from charlm.workflows import export as workflow
from tests.nn.model_cases import CASES, build, model_settings, tokens_for, vocab_of
from tests.processes import Commands

DOCS = Path(__file__).parents[2] / "charlm" / "docs"
NUM_STEPS, BATCH_SIZE = 200, 3
TOLERANCE = 1e-5
needs_onnx = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs scripts/test --peers")


@pytest.mark.peers
@needs_onnx
@pytest.mark.parametrize("case", CASES)
def test_onnxruntime_steps_as_python_does(case: str) -> None:
    model = build(case)
    loaded = LoadedModel(model, model_settings(case), vocab_of(case), {}, Path())
    session = open_session(ExportedModel(case, loaded, None))
    tokens_BT, state = tokens_for(case, BATCH_SIZE, NUM_STEPS), model.initial_state(BATCH_SIZE)
    found = {f"state.{index}": tensor.numpy() for index, tensor in enumerate(state)}
    names = [each.name for each in session.get_outputs()]
    for step in range(NUM_STEPS):
        with torch.no_grad():
            features_BTH, state = model(tokens_BT[:, step : step + 1], state)
            expected_BV = model.head.logits(features_BTH[:, -1]).log_softmax(-1).numpy()
        outputs = dict(zip(names, session.run(None, {"token": tokens_BT[:, step].numpy(), **found}), strict=True))
        np.testing.assert_allclose(outputs["log_probabilities"], expected_BV, rtol=0, atol=TOLERANCE)
        found = {f"state.{index}": outputs[f"next.{index}"] for index in range(len(state))}
        for tensor, other in zip(state, found.values(), strict=True):
            assert tensor.numpy().dtype == other.dtype
            np.testing.assert_allclose(other, tensor.numpy(), rtol=0, atol=TOLERANCE * tensor.is_floating_point())


def open_session(model: ExportedModel) -> Any:
    onnxruntime = importlib.import_module("onnxruntime")
    from charlm.export.onnx_step.write import export_step

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(export_step(model), options)


@pytest.mark.peers
@needs_onnx
@pytest.mark.parametrize(("run", "prompt"), [("tiny-texts", "он "), ("bundled", "on ")])
def test_the_example_of_the_documents_writes_what_charlm_writes(workspace: Commands, run: str, prompt: str) -> None:
    """The most probable token each time, since other draws depend on the generator."""
    (example,) = re.findall(r"```py\n(import json.*?)```", (DOCS / "export.md").read_text(encoding="utf-8"), re.DOTALL)
    assert "rng.choice(len(p), p=p)" in example
    greedy = example.replace("rng.choice(len(p), p=p)", "int(p.argmax())").replace("range(200)", "range(100)")
    workspace.succeed("export", run, "--format", "onnx", "--out", "lstm-novel.onnx")
    (workspace.folder / "example.py").write_text(greedy.replace("Все ", prompt), encoding="utf-8")
    printed = subprocess.run(
        [sys.executable, "example.py"], cwd=workspace.folder, capture_output=True, text=True, check=True
    ).stdout
    expected = workspace.succeed("sample", run, "--prompt", prompt, "--temperature", "0", "--length", "100").stdout
    assert len(printed) > 100
    assert printed == expected


@pytest.mark.peers
@needs_onnx
def test_the_metadata_say_what_a_program_needs(workspace: Commands) -> None:
    workspace.succeed("export", "--format", "onnx")
    onnxruntime = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(str(workspace.folder / "tiny-texts.onnx"))
    facts = json.loads(session.get_modelmeta().custom_metadata_map["charlm"])
    assert (facts["name"], facts["direction"], facts["format"]) == ("tiny-texts", "forward", 1)
    assert facts["state"][0] == {
        "input": "state.0",
        "output": "next.0",
        "type": "float32",
        "shape": [16],
        "initial": 0,
    }
    tokens, eod = facts["vocabulary"]["tokens"], facts["vocabulary"]["eod"]
    assert (tokens[eod], tokens[1:257]) == ("", [*range(256)])
    assert {*"мыя東🙂é"} <= {*tokens[257:]}


@pytest.mark.peers
@needs_onnx
def test_n_grams_inside_a_model_are_refused_by_name() -> None:
    vocab, settings = vocab_of("lstm-1-plain"), model_settings("lstm-1-plain")
    settings = settings.model_copy(update={"ngram": NgramComponentSettings()})
    model = build_model(settings, vocab.size, ngrams=3)
    with pytest.raises(UsageError, match="mixed has n-grams inside"):
        open_session(ExportedModel("mixed", LoadedModel(model, settings, vocab, {}, Path()), None))


def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "find_spec", lambda name: None)  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(UsageError, match="run `pip install onnx`"):
        workflow.export_run("bundled", None, find_format("onnx"), workflow.ExportRequest())
