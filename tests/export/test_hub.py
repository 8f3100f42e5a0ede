"""`--format hub`: a checkpoint with a model card that the hub's own library reads."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from charlm import storage
from charlm.checkpoint import load_model
from charlm.device import choose_device
from tests.label_runs import NUMBERS
from tests.processes import Commands
from tests.workspaces import RUN


def export(commands: Commands, *arguments: str) -> Path:
    shutil.rmtree(commands.folder / "x", ignore_errors=True)
    commands.succeed("export", *arguments, "--format", "hub", "--out", "x")
    return commands.folder / "x"


def test_the_directory_is_the_model(workspace: Commands) -> None:
    out = export(workspace)
    names = {path.name for path in out.iterdir()}
    assert names == {"README.md", "manifest.json", "model.json", "model.safetensors", "vocab.json"}
    assert "README.md" not in storage.read_json(out / "manifest.json")["files"], "people edit it on the hub"
    assert load_model(out, choose_device("cpu")).vocab.size == 315
    sampled = [workspace.succeed("sample", name, "--length", "40", "--seed", "3").stdout for name in (str(RUN), "./x")]
    assert sampled[0] == sampled[1]


def test_the_card_has_what_is_known(workspace: Commands) -> None:
    figures = workspace.json("eval", "--text", "texts/00.txt") | {"interval": [4.5, 4.75]}
    (workspace.folder / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    corpus = workspace.folder / "data/texts/corpus.json"
    content = storage.read_json(corpus)
    licence = "CC BY-SA 4.0, GFDL"
    content["origin"] |= {
        "source": "wikipedia",
        "language": "ru",
        "licence": licence,
        "urls": ["https://example.org/d"],
    }
    storage.write_json(corpus, content)
    card = ModelCard.load(export(workspace, "--licence", "mit", "--figures", "figures.json") / "README.md")
    data = card.data.to_dict()
    assert (data["language"], data["license"], data["library_name"]) == ("ru", "mit", "charlm")
    assert data["pipeline_tag"] == "text-generation"
    assert {"charlm", "character-level", "lstm"} <= {*data["tags"]}
    (model,) = data["model-index"]
    metrics = {each["type"]: each for each in model["results"][0]["metrics"]}
    assert metrics["bits_per_character"]["value"] == figures["bits_per_character"]
    assert metrics["bits_per_character"]["args"] == {"interval_95": [4.5, 4.75]}
    assert f"| bits per character | {figures['bits_per_character']:.4f} | 4.5000 to 4.7500 |" in card.text
    for fact in (f"- licence: {licence}", "<https://example.org/d>", "whom the history of each page lists", "LSTMCell"):
        assert fact in card.text
    assert "hub:USER/tiny-texts" in card.text


def test_what_the_card_cannot_say_is_said(workspace: Commands) -> None:
    shutil.rmtree(workspace.folder / "data")
    ended = workspace.succeed("export", "--format", "hub")
    assert "give one with --licence" in ended.stderr
    assert "the card does not say where the text comes from" in ended.stderr
    card = ModelCard.load(workspace.folder / "tiny-texts-hub" / "README.md")
    assert "license" not in card.data.to_dict()
    assert "ask before you use them" in card.text


@pytest.mark.parametrize(("run", "pipeline"), [("labels", "text-classification"), ("tags", "token-classification")])
def test_models_of_other_tasks_travel_too(labelled: Commands, tmp_path: Path, run: str, pipeline: str) -> None:
    commands = labelled.within(shutil.copytree(labelled.folder, tmp_path / "folder"))
    out = export(commands, run)
    assert ModelCard.load(out / "README.md").data.to_dict()["pipeline_tag"] == pipeline
    predicted = [commands.succeed("predict", name, NUMBERS[0]).stdout for name in (run, "./x")]
    assert predicted[0] == predicted[1]
