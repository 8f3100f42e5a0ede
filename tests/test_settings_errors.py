"""A wrong setting is blamed on the line or the flag that set it, and the cure, done as it says, cures it."""

import re
import shlex
from pathlib import Path

import pytest

from charlm.errors import SettingsError
from charlm.evaluation.baselines.settings import BaselineSettings
from charlm.experiment import Experiment, load_experiment, read_layers
from charlm.settings import (
    Layer,
    merge_layers,
    parse_override,
    read_toml,
    settings_classes,
    single_value_layer,
    validate,
)
from charlm.suggestions.setting_keys import all_keys
from charlm.suggestions.values import guess_number
from charlm.suggestions.words import nearest
from charlm.text.settings import SourceSettings

CONFIG = """[model.body]
type = "recurrent"
hidden_size = 512

[model.body.cell]
type = "lstm"

[training]
batch_size = 32
max_steps = 7

[training.optimizer]
lr = 4e-3
"""
MIX = """[corpus.source]
type = "mix"

[[corpus.source.sources]]
type = "text"
input = ["a"]

[[corpus.source.sources]]
type = "hub"
"""


def refused(*overrides: str, config: str = CONFIG, folder: Path | None = None, flags: tuple[Layer, ...] = ()) -> str:
    path = None
    if folder is not None:
        path = folder / "c.toml"
        path.write_text(config, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_experiment(read_layers(str(path) if path else None, flags, overrides))
    return str(caught.value).replace(f"{path}:", "line ")


# ---- where


@pytest.mark.parametrize(
    ("overrides", "where", "key"),
    [
        (["training.optimiser.lr=1"], "--set", "'training.optimiser'"),
        (["model.body.type=tcn", "model.body.cell.type=gru"], "--set", "'model.body.cell'"),
        (['model.body={type="tcn", cell="x"}'], "--set", "'model.body.cell'"),
        (["training.reset_tokens=100"], "--set", "training: reset_tokens"),
        (["model.body.strides=[1, 4]"], "--set", "model.body: strides"),
        (["training.optimizer.beta1=2"], "--set", "training.optimizer.beta1"),
        (["training.optimizer=2"], "--set", "training.optimizer"),
    ],
)
def test_what_the_command_line_did_is_not_blamed_on_the_file(
    overrides: list[str], where: str, key: str, tmp_path: Path
) -> None:
    message = refused(*overrides, folder=tmp_path)
    assert message.startswith(f"{where}: ")
    assert key in message


@pytest.mark.parametrize(
    ("line", "replacement", "number"),
    [
        ("hidden_size = 512", "hidden_siz = 512", 3),
        ("hidden_size = 512", "strides = [1, 4]", 3),
        ('type = "lstm"', 'type = "ltsm"', 6),
        ("[model.body.cell]", "[model.body.sell]", 5),
        ("batch_size = 32", "reset_tokens = 100", 9),
        ("max_steps = 7", "seq_len = 7", 8),
        ("lr = 4e-3", "momentum = 0.9", 13),
    ],
)
def test_what_the_file_did_is_found_in_it(line: str, replacement: str, number: int, tmp_path: Path) -> None:
    assert refused(config=CONFIG.replace(line, replacement), folder=tmp_path).startswith(f"line {number}: ")
    unrelated = refused("model.body.dropout=0.5", config=CONFIG.replace(line, replacement), folder=tmp_path)
    assert unrelated.startswith(f"line {number}: ")


def test_of_two_that_do_not_fit_the_one_that_is_named_is_blamed(tmp_path: Path) -> None:
    config = CONFIG.replace("hidden_size = 512", "strides = [1, 2]\nnum_layers = 2\nskip = 'dense'")
    assert refused("model.body.hidden_size=3", "model.body.skip=none", config=config, folder=tmp_path).startswith("--s")
    assert refused("model.body.hidden_size=3", config=config.replace("[1, 2]", "[1]"), folder=tmp_path)[:7] == "line 4:"


def test_a_table_that_is_gone_is_not_blamed(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(CONFIG, encoding="utf-8")
    lower = read_toml(path)
    assert lower.origins["model.body.cell.type"] == f"{path}:6"
    origins = single_value_layer("model.body", {"type": "tcn"}, "--set").merge_over(lower).origins
    assert {key: at for key, at in origins.items() if key.startswith("model")} == {
        "model.body": "--set",
        "model.body.type": "--set",
    }
    assert (
        list(merge_layers([lower, single_value_layer("model.body.hidden_size", 3, "--set")]).origins)[-1]
        == "model.body.hidden_size"
    )


@pytest.mark.parametrize(
    ("line", "replacement", "number", "words"),
    [
        ('input = ["a"]', 'inptu = ["a"]', 6, ["sources[0].inptu' of the source text", 'did you mean "input"?']),
        ('type = "hub"', 'type = "hub"\ncolunm = "x"', 10, ["sources[1].colunm' of the source hub", '"column"?']),
        ('type = "hub"', 'type = "hbu"', 9, ["sources[1].type = 'hbu'", 'did you mean "hub"?']),
        ('type = "hub"', 'input = ["a"]', 8, ["sources[1] has no type", "'text'"]),
        ('input = ["a"]', "input = 3", 6, ["sources[0].input = 3: should be a list", "write input = [3]"]),
        ('input = ["a"]', "input = [3]", 6, ["sources[0].input[0] = 3: should be a text", 'write it in quotes: "3"']),
    ],
)
def test_an_entry_of_a_list_has_its_own_lines(
    line: str, replacement: str, number: int, words: list[str], tmp_path: Path
) -> None:
    message = refused(config=MIX.replace(line, replacement), folder=tmp_path)
    assert message.startswith(f"line {number}: ")
    assert all(word in message for word in words), message


def test_tables_inside_an_entry_belong_to_that_entry(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[[a.b]]\nx = 1\n[a.b.c]\ny = 1\n[[a.b]]\n[a.b.c]\ny = 2\n[[a.b.d]]\nz = 3\n", encoding="utf-8")
    lines = {key: int(at.rpartition(":")[2]) for key, at in read_toml(path).origins.items()}
    expected = {"a.b.0.x": 2, "a.b.0.c": 3, "a.b.0.c.y": 4, "a.b.1": 5, "a.b.1.c.y": 7, "a.b.1.d.0.z": 9}
    assert expected.items() <= lines.items()


def test_what_has_the_wrong_shape_is_no_bug() -> None:
    for value in ('["text"]', "[1]", "[[]]", "3", "{}", '[{type="mix"}]'):
        for kind in ("wikipedia", "mix"):
            message = refused(f"corpus.source.type={kind}", f"corpus.source.sources={value}")
            assert "corpus.source.sources" in message


# ---- what to do


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("lr=1e-3", "there is no setting 'lr'; did you mean training.optimizer.lr?"),
        ("training.hidden_size=5", "did you mean model.body.hidden_size?"),
        ("max_step=5", "did you mean training.max_steps?"),
        ("corpus.vocab={type='sentencepiece', size=9}", 'did you mean "vocab_size"?'),
        ("training.optimizer.hidden_sizes=5", "did you mean model.body.hidden_size?"),
        ("type=lstm", "'type'; the settings there are corpus, model, training"),
        ("corpus.vocab.type=copied", "corpus.vocab.directory is missing; set corpus.vocab.directory"),
        (
            "model.body.cell.reset=before",
            "of the cell lstm; it belongs to cell.type gru; the settings of cell.type lstm",
        ),
        ("training.batch_size=0", "give 1 or more"),
        ("training.optimizer.lr=0", "give more than 0"),
        ("model.body.dropout=1", "give less than 1"),
        ("model.body.num_layers=65", "give 64 or less"),
    ],
)
def test_the_cure_is_in_plain_words(override: str, words: str) -> None:
    assert words in refused(override)


def test_a_flag_of_another_source_says_whose_it_is() -> None:
    flags = (
        single_value_layer("corpus.source.type", "text", "--source"),
        single_value_layer("corpus.source.language", "ru", "--language"),
    )
    message = refused(flags=flags)
    assert message.startswith("--language: there is no setting 'corpus.source.language' of the source text;")
    assert "it belongs to source.type wikipedia and hub" in message


@pytest.mark.parametrize(
    ("override", "others"),
    [
        ("model.body.strides=1,2", ["model.body.num_layers=2", "model.body.skip=dense"]),
        ("model.body.dilations=2", []),
        ("corpus.source.input=a.txt", ["corpus.source.type=text"]),
        ("corpus.source.input=a.txt, b.txt", ["corpus.source.type=text"]),
        ("corpus.source.date=20240801", []),
        ("corpus.source.sources=sample", ["corpus.source.type=mix"]),
        ("corpus.source.sources=sample, sample", ["corpus.source.type=mix"]),
        ('corpus.source.sources={type="hub", dataset="x/y"}', ["corpus.source.type=mix"]),
    ],
)
def test_a_cure_that_can_be_copied_works(override: str, others: list[str]) -> None:
    """Through a shell, quotes and all."""
    cure = refused(override, *others).rpartition("; ")[2]
    _, copied = shlex.split(cure[cure.index("--set") :])
    load_experiment(read_layers(None, (), ["training.max_steps=7", *others, copied]))


def test_a_list_of_tables_is_shown_as_one() -> None:
    with pytest.raises(SettingsError, match=r"""write --set 'baselines=\[{type="unigram"}\]'"""):
        validate(BaselineSettings, parse_override("baselines=unigram"))
    validate(BaselineSettings, parse_override('baselines=[{type="unigram"}]'))


def test_batch_normalisation_of_an_encoder_is_refused_as_that_of_a_body() -> None:
    settings = ["model.condition.encoder.body.norm=batch", "training.recompute_len=8"]
    with pytest.raises(SettingsError, match="statistics of batch normalisation twice"):
        load_experiment(read_layers("g2p", (), settings))


@pytest.mark.parametrize("way", ["recompute_len=8", "seq_len_varies=true"])
def test_batch_normalisation_refuses_to_have_its_time_cut(way: str, tmp_path: Path) -> None:
    """Said by the settings, so that nothing is written before."""
    config = CONFIG.replace("hidden_size = 512", 'norm = "batch"')
    message = refused(f"training.{way}", config=config, folder=tmp_path)
    assert message.startswith(f"--set: training.{way.partition('=')[0]} ")
    assert message.endswith("; leave it out, or choose another model.body.norm")


@pytest.mark.parametrize(
    ("line", "replacement", "cure"),
    [
        ("hidden_size = 512", "strides = 3", "strides = [3]"),
        ('type = "recurrent"', 'type = "recurrent"\ndilations = "1, 2"', "dilations = [1, 2]"),
        ("[model.body]", "[corpus.source]\ndate = 20260101\n[model.body]", 'date = "20260101"'),
        ("[model.body]", "[corpus]\nsplit = '90-10'\n[model.body]", "90/10"),
    ],
)
def test_the_cure_of_a_line_is_a_line(line: str, replacement: str, cure: str, tmp_path: Path) -> None:
    message = refused(config=CONFIG.replace(line, replacement), folder=tmp_path)
    assert message.endswith((f"; write {cure}", f"; write it in quotes: {cure}"))


@pytest.mark.parametrize(
    ("text", "is_integer", "meant"),
    [
        ("1e3", True, "1000"), ("1000.0", True, "1000"), ("1k", True, "1000"), ("10 000", True, "10000"),
        ("1,000", True, "1000"), ("'5'", True, "5"), ("2M", True, "2000000"), ("-3.0", True, "-3"), ("2.5", True, None),
        ("0,001", False, "0.001"), ("50%", False, "0.5"), ("1e-3", False, "0.001"), ("1_000", False, "1000"),
        ("big", True, None), ("", True, None), ("nan", False, None), ("1e999", False, None), ("1:2", False, None),
    ],
)  # fmt: skip
def test_a_number_that_is_written_otherwise_is_understood(text: str, is_integer: bool, meant: str | None) -> None:
    assert guess_number(text, is_integer=is_integer) == meant


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        ("LSTM", "lstm"), ("lsmt", "lstm"), ("lstm.tml", "lstm"), ("lst", "lstm"), ("gru2", "gru"),
        ("validation", "valid"), ("vaild", "valid"), ("tcn", "ideas/tcn"), ("xyz", None), ("", None), ("v", None),
    ],
)  # fmt: skip
def test_the_nearest_word(found: str, meant: str | None) -> None:
    assert nearest(found, ["gru", "ideas/tcn", "lstm", "valid"]) == meant


def test_a_value_that_is_one_elsewhere_is_said_to_be_so() -> None:
    assert "did you mean --set model.body.cell.type=gru? (allowed here are" in refused("model.body.type=gru")
    bpe = "--set corpus.vocab.type=sentencepiece --set corpus.vocab.model_type=bpe"
    assert f"did you mean {bpe}?" in refused("corpus.vocab.type=bpe")
    assert "did you mean" not in refused("model.head.type=none"), "many settings may be none"


def test_every_key_that_is_suggested_is_one() -> None:
    keys = set(all_keys(Experiment))
    assert {"training.optimizer.lr", "model.body.cell.reset", "corpus.source.sources", "corpus.source"} <= keys
    assert not any(re.match(r"corpus\.source\.sources\.", key) for key in keys)
    sources = {f"corpus.source.{name}" for kind in settings_classes(SourceSettings) for name in kind.model_fields}
    assert sources <= keys


def test_content_that_no_toml_can_hold_is_refused_too() -> None:
    """As a damaged model.json does."""
    for value in (None, {"a": None}, (None,), (("a",),), 10**5000, b"x"):
        for key in (
            "model.body.strides",
            "model.body.hidden_size",
            "corpus.source.date",
            "model.body",
            "corpus.source",
        ):
            with pytest.raises(SettingsError) as caught:
                validate(Experiment, single_value_layer(key, value, "model.json"))
            assert len(str(caught.value)) < 2000
