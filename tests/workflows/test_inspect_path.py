"""`charlm inspect`: the network of a config, a run or a checkpoint, and what is meant by a name."""

import shutil

from charlm.data.corpus import open_corpus
from charlm.data.documents import read_parts
from tests.processes import Commands
from tests.workspaces import CONFIG, DATA, RUN, furnish

BODY = 4 * 16 * (8 + 16 + 1)


def test_a_run_and_its_config_have_one_network(toured: Commands) -> None:
    run, config = toured.json("inspect", "tiny-texts"), toured.json("inspect", "tiny")
    assert run["network"] == config["network"]
    assert (run["kind"], config["kind"]) == ("checkpoint", "config")
    assert config["corpus"] == str(DATA)
    vocab_size = config["vocab_size"]
    assert run["vocab_size"] == vocab_size == toured.json("inspect", "texts")["vocabulary"]["size"]
    assert (toured.folder / "texts").is_dir(), "which is not what is meant by that name"
    assert run["network"]["parameters"] == vocab_size * 8 + BODY + vocab_size * 17
    assert run["network"]["parameters"] == toured.json("train", "--config", "tiny", "--dry-run")["parameters"]
    checkpoint = toured.json("inspect", str(RUN / "checkpoints" / "step-000000020"))
    assert checkpoint["network"] == run["network"]


def test_operations_are_those_for_a_character_of_the_text(workspace: Commands) -> None:
    vocab_size = workspace.json("inspect", "tiny")["vocab_size"]
    products = 4 * 16 * (8 + 16) + 16 * vocab_size
    for_token = {"per": "token", "forward": 2 * products, "training": 6 * products}
    corpus = open_corpus(workspace.folder / DATA)
    text = "".join(part.document.text for part in read_parts(corpus.directory / "documents", "train"))
    tokens = len(corpus.open("train").tokens) - 1
    assert tokens > len(text), "ends of documents are predicted too"
    found = workspace.json("inspect", "tiny-texts")["network"]["operations"]
    assert found["per"] == "character"
    assert found["forward"] == round(2 * products * tokens / len(text))
    shutil.rmtree(workspace.folder / DATA)
    assert workspace.json("inspect", "tiny-texts")["network"]["operations"] == for_token
    assert "tokens per character unknown" in workspace.succeed("inspect", "tiny-texts").stdout


def test_another_corpus_of_that_name_says_nothing_of_a_run(workspace: Commands) -> None:
    (workspace.folder / "other.txt").write_text("abcd" * 500, encoding="utf-8")
    workspace.succeed(
        "prepare", "--workers", "1", "--source", "text", "--input", "other.txt", "--out", "data/texts", "--overwrite"
    )
    assert workspace.json("inspect", "tiny-texts")["network"]["operations"]["per"] == "token"


def test_a_config_without_a_corpus_has_an_assumed_vocabulary(commands: Commands) -> None:
    furnish(commands)
    found = commands.json("inspect", "tiny")
    assert (found["corpus"], found["vocab_size"]) == (None, 512)
    assert "assumed" in found["vocabulary"]
    assert found["network"]["operations"]["per"] == "token"
    assert "assumed" in commands.succeed("inspect", "tiny").stdout


def test_settings_and_a_corpus_can_be_given_with_a_config(workspace: Commands) -> None:
    (workspace.folder / "mine.toml").write_text(CONFIG.partition("[model")[2].join(["[model", ""]), encoding="utf-8")
    (workspace.folder / "other.txt").write_text("abcd" * 500, encoding="utf-8")
    workspace.succeed("prepare", "--workers", "1", "--source", "text", "--input", "other.txt")
    set_ = ("--set", "model.body.cell.type=gru", "--set", "model.body.num_layers=2")
    found = workspace.json("inspect", "mine.toml", "--data", "other", *set_)
    assert found["vocab_size"] == 257 + 4
    assert workspace.json("inspect", "mine.toml", "--data", "texts")["corpus"] == str(DATA), "not the current one"
    layers = found["network"]["parts"][1:3]
    assert [layer["kind"] for layer in layers] == ["GRUCell", "GRUCell"]
    assert found["network"]["body_parameters_with"]["gru"] == sum(layer["parameters"] for layer in layers)


def test_people_see_a_line_for_each_part(toured: Commands) -> None:
    text = toured.succeed("inspect", "tiny").stdout
    assert "\nNetwork\n" in text
    lines = [line.split() for line in text.splitlines()]
    vocab_size = toured.json("inspect", "tiny")["vocab_size"]
    assert ["layer", "1", "LSTMCell", "8", "->", "16", f"{BODY:,}", "parameters"] in lines
    assert ["head", "Softmax", "16", "->", f"{vocab_size:,}", f"{17 * vocab_size:,}", "parameters"] in lines


def test_a_name_means_what_has_been_made_before_a_config(workspace: Commands) -> None:
    assert workspace.json("inspect", "tiny")["kind"] == "config"
    shutil.copytree(workspace.folder / RUN, workspace.folder / "runs" / "tiny")
    assert workspace.json("inspect", "tiny")["kind"] == "checkpoint"
    assert workspace.json("inspect", "configs/tiny.toml")["kind"] == "config"


def test_what_cannot_be_inspected(toured: Commands) -> None:
    unknown = toured.fail(2, "inspect", "tinny")
    assert "there is no tinny; give a dump, a corpus, a run, a checkpoint or a config" in unknown
    assert "tiny" in unknown.removeprefix("there is no tinny")
    assert "model.body.hidden_siz" in toured.fail(2, "inspect", "tiny", "--set", "model.body.hidden_siz=3")
    for wrong in (("--set", "model.body.hidden_size=3"), ("--data", "texts")):
        assert "is not a config" in toured.fail(2, "inspect", "tiny-texts", *wrong)
    needs_ngrams = ("--set", "model.embedding.type=ngram")
    assert "corpus.vocab.type=ngram" in toured.fail(2, "inspect", "tiny", *needs_ngrams)
