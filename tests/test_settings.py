"""Settings: any file and any override give typed settings or one line that names the place."""

import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from charlm.data.task_settings import EXAMPLE_TASKS, LANGUAGE_TASK
from charlm.errors import SettingsError
from charlm.experiment import Experiment, load_experiment, read_layers
from charlm.nn.cells.settings import CellSettings
from charlm.settings import (
    Difference,
    Layer,
    Settings,
    differences,
    lists_to_tuples,
    parse_override,
    read_toml,
    settings_classes,
    to_toml,
    validate,
)
from charlm.text.settings import MixSettings, SourceSettings
from charlm.training.settings import ScheduleSettings
from charlm.vocab.settings import VocabSettings

BUDGET = "training.max_steps=7"


def load(*overrides: str) -> Experiment:
    return load_experiment(read_layers(None, (), (BUDGET, *overrides)))


def refused(*overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(*overrides)
    return str(caught.value)


def members(union: Any) -> tuple[type[Settings], ...]:
    return tuple(settings_classes(union))


# ---- what is asked for is what one gets


OVERRIDES = [
    ("training.schedule.type=constant", lambda e: e.training.schedule.type == "constant"),
    ("training.schedule.warmup_steps=5", lambda e: e.training.schedule.warmup_steps == 5),
    ("training.batch_size=3", lambda e: e.training.batch_size == 3),
    ("training.max_minutes=0.5", lambda e: e.training.max_minutes == 0.5),
    ("model.body.cell.type=gru", lambda e: e.model.body.cell.type == "gru"),
    ("model.body.num_layers=2", lambda e: e.model.body.num_layers == 2),
    ("corpus.source.type=text", lambda e: e.corpus.source.type == "text"),
    ('corpus.source.input=["a", "b"]', lambda e: e.corpus.source.input == ("a", "b")),
    ("corpus.split=90/10", lambda e: e.corpus.split == "90/10"),
]


@given(chosen=st.lists(st.sampled_from(OVERRIDES), unique_by=lambda pair: pair[0]), data=st.data())
def test_every_override_counts_in_any_order(chosen: list[Any], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(chosen))
    experiment = load(*(override for override, _ in shuffled))
    assert all(holds(experiment) for _, holds in shuffled)


def test_later_wins(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[training]\nbatch_size = 5\nseq_len = 6\nmax_steps = 7\n", encoding="utf-8")
    flags = [parse_override("training.batch_size=8")]
    training = load_experiment(read_layers(str(config), flags, ["training.batch_size=9"])).training
    assert (training.batch_size, training.seq_len, training.max_steps) == (9, 6, 7)
    assert load_experiment(read_layers(str(config), flags, [])).training.batch_size == 8


def test_another_type_drops_the_keys_of_the_first(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[model.body.cell]\ntype = "lstm"\nforget_bias = 2.0\n', encoding="utf-8")
    changed, kept = (
        load_experiment(read_layers(str(config), (), [f"model.body.cell.type={cell}"])).model.model_dump()["body"][
            "cell"
        ]
        for cell in ("gru", "lstm")
    )
    assert changed["type"] == "gru"
    assert kept["forget_bias"] == 2.0


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("true", True),
        ('"x"', "x"),
        ("x y", "x y"),
        ("", ""),
        ("[1, [2]]", (1, (2,))),
        ("a=b", "a=b"),
    ],
)
def test_an_override_is_toml_or_else_a_string(raw: str, value: object) -> None:
    assert parse_override(f"some.key={raw}").tree == {"some": {"key": value}}


@pytest.mark.parametrize("text", ["", "=", "a", ".a=1", "a..b=1", "a b=1", "a.=1"])
def test_an_override_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="KEY=VALUE"):
        parse_override(text)


def test_settings_survive_a_round_trip_through_toml() -> None:
    unions = [members(union) for union in (SourceSettings, VocabSettings, CellSettings, ScheduleSettings)]
    for source, vocab, cell, schedule in product(*unions):
        needed = {"sources": ({"type": "sample"},)} if source is MixSettings else {}
        kind = source.model_fields["type"].default
        reading = [name for name, each in EXAMPLE_TASKS.items() if kind in each.sources]
        task = "language" if kind in LANGUAGE_TASK.sources else reading[0]
        needs_characters = task in EXAMPLE_TASKS and EXAMPLE_TASKS[task].needs_characters
        if needs_characters and vocab.model_fields["type"].default not in ("char", "byte"):
            continue
        tree = {
            "corpus": {
                "task": {"type": task},
                "source": {"type": kind, **needed},
                "vocab": vocab().model_dump(),
            },
            "model": {"body": {"cell": cell().model_dump()}},
            "training": {"schedule": schedule().model_dump(), "max_epochs": 0.3},
        }
        experiment = validate(Experiment, Layer(tree))
        assert validate(Experiment, Layer(lists_to_tuples(tomllib.loads(to_toml(experiment))))) == experiment


# ---- what is wrong is named


def test_a_typo_is_located_and_mended(tmp_path: Path) -> None:
    config = tmp_path / "typo.toml"
    config.write_text("[training]\nmax_steps = 1\nbatch_sise = 5\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_experiment(read_layers(str(config), (), ()))
    message = str(caught.value)
    assert f"{config}:3" in message
    assert "training.batch_sise" in message
    assert 'did you mean "batch_size"?' in message


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.body.cell.type=ltsm", ["--set", "model.body.cell.type", "'ltsm'", 'did you mean "lstm"', "gru"]),
        ("training.precision=fp8", ["training.precision", "'fp8'", "auto", "bf16"]),
        (
            "training.batch_size=0",
            ["--set", "training.batch_size = 0", "greater than or equal to 1"],
        ),
        ("training.batch_size=many", ["training.batch_size = 'many'", "integer"]),
        ('training.batch_size="2"', ["training.batch_size = '2'", "integer"]),
        ("training.batch_size=true", ["training.batch_size = True", "integer"]),
        ("training.optimizer.lr=nan", ["training.optimizer.lr", "finite"]),
        ("training.optimizer.lr=inf", ["training.optimizer.lr", "finite"]),
        ("training.optimizer.beta1=1", ["training.optimizer.beta1", "less than 1"]),
        ("training=5", ["--set", "training = 5"]),
        ("model.body.cell=5", ["model.body.cell = 5"]),
        ("corpus.split=90/5/6", ["corpus.split", "90/5/5"]),
        ("corpus.split=half", ["corpus.split", "90/5/5"]),
        ("nonsense=1", ["'nonsense'", "corpus, model, training"]),
        ("model.body.cell.nonsense=1", ["'model.body.cell.nonsense'", "forget_bias"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(override: str, words: list[str]) -> None:
    message = refused(override)
    assert all(word in message for word in words), message


def test_a_run_without_an_end_is_refused() -> None:
    with pytest.raises(SettingsError, match="set max_steps, max_tokens, max_epochs or max_minutes"):
        load_experiment(read_layers(None, (), ["training.batch_size=1"]))


TOML_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
    | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "x", "cell", "lr", "input"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("corpus", "corpus.source", "corpus.source.type", "corpus.source.input", "corpus.split", "corpus.vocab"),
        *("corpus.vocab.type", "corpus.vocab.max_size", "model", "model.body", "model.body.cell", "no.such.thing"),
        *("model.body.cell.type", "model.body.hidden_size", "training", "training.max_steps", "training.max_epochs"),
        *("training.optimizer", "training.schedule.type", "training.seed"),
    ]
)


@given(st.lists(st.tuples(KEYS, TOML_VALUES), min_size=1, max_size=4))
def test_any_settings_load_or_are_refused_in_one_line(pairs: list[tuple[str, Any]]) -> None:
    overrides = [f"{key}={tomli_w.dumps({'v': value}).partition('=')[2].strip()}" for key, value in pairs]
    message = ""
    try:
        load_experiment(read_layers(None, (), overrides))
    except SettingsError as error:
        message = error.what
    assert "\n" not in message


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\xff")
@example(b"a = " + b"[" * 5000)
@example(b"a = " + b"9" * 5000)
@example(b"a = 1\na = 2")
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    try:
        layer = read_toml(path)
    except SettingsError as error:
        read, named = None, str(path) in error.what
    else:
        read, named = layer.tree, True
    assert named
    assert read in (None, _toml(content))


def _toml(content: bytes) -> object:
    """What tomllib makes of it, or None."""
    try:
        return lists_to_tuples(tomllib.loads(content.decode("utf-8")))
    except (ValueError, RecursionError):
        return None


@pytest.mark.parametrize("raw", ["9" * 5000, "0x" + "f" * 5000, "[" * 5000, "{a=" * 5000])
def test_a_monstrous_override_is_refused(raw: str) -> None:
    assert "training.seed" in refused(f"training.seed={raw}")


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(SettingsError, match="cannot read"):
            read_toml(path)


# ---- differences


TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), TREES))
def test_equal_trees_do_not_differ(tree: dict[str, Any]) -> None:
    assert differences(tree, tree) == []


def test_a_difference_names_key_and_both_values() -> None:
    old = {"a": {"b": 1, "same": 5}, "gone": 2}
    new = {"a": {"b": 3, "same": 5}, "new": 4}
    found = differences(old, new)
    assert found == [Difference("a.b", 1, 3), Difference("gone", 2, None), Difference("new", None, 4)]
    assert str(found[0]) == "a.b: 1 -> 3"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("model.body.zoneout_hidden=0.1", "zoneout_hidden is for LSTM cells"),
        ("model.body.norm_gain=0.5", "norm_gain needs norm"),
        ("model.body.norm_per_step=true", "norm_per_step needs norm"),
        ("model.body.strides=[2]", "without a path of stride 1, the head does not see every token"),
    ],
)
def test_settings_without_effect_or_sense_are_refused(override: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        load_experiment(read_layers(None, (), ["model.body.cell.type=gru", override]))
