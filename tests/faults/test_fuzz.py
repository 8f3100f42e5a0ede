"""Random wrong command lines: one line, exit code 2 (3 if data are read), no file changed, no traceback."""

import random
import string

import pytest
import typer.main

from charlm.cli import app
from charlm.experiment import Experiment
from charlm.settings import Settings, settings_classes
from tests.processes import Commands, assert_one_error
from tests.workspaces import snapshot

WRONG_NUMBERS = (
    *("many", "nan", "inf", "-inf", "-1", "''", '"3"', "[3]", "{a = 3}", "1979-05-27", "true", "0x", "1e999", "3 4"),
    *("٣", "²", "1_", "--", "=", "null", "\N{HEAVY BLACK HEART}", "\x07", "9" * 4400, "-" + "9" * 30),
)
POSITIVE_INTEGERS = (
    *("training.batch_size", "training.seq_len", "training.validation_interval", "training.validation_tokens"),
    *("training.log_interval", "model.body.hidden_size", "model.body.num_layers", "model.embedding.size"),
)
POSITIVE_NUMBERS = ("training.optimizer.lr", "training.max_epochs", "training.max_minutes", "training.optimizer.eps")
KINDS = (
    *("model.body.cell.type", "training.schedule.type", "training.optimizer.type", "model.type", "corpus.source.type"),
    *("corpus.vocab.type", "training.precision", "model.body.backend", "model.head.type"),
)
OPTIONS = {
    name: {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
    if name in ("prepare", "train", "eval", "sample")
}


def keys(kind: type[Settings] = Experiment, prefix: str = "") -> set[str]:
    """Every dotted name of a setting."""
    found: set[str] = set()
    for name, info in kind.model_fields.items():
        found |= {prefix + name}.union(
            *(keys(inner, f"{prefix}{name}.") for inner in settings_classes(info.annotation))
        )
    return found


KEYS = keys()


def misspell(word: str, chance: random.Random) -> str:
    """Insert, remove or change one letter, but not at the start, where an option has its dashes."""
    place = chance.randrange(2, len(word))
    letter = chance.choice(string.ascii_lowercase)
    return chance.choice(
        (word[:place] + word[place + 1 :], word[:place] + letter + word[place:], word[:place] + letter)
    )


def misspelt(words: set[str], chance: random.Random) -> str:
    """A word that is none of the given ones."""
    while (word := misspell(chance.choice(sorted(words)), chance)) in words:
        pass
    return word


def wrong_option(chance: random.Random) -> list[str]:
    command = chance.choice(sorted(OPTIONS))
    return [command, misspelt(OPTIONS[command], chance), "1"]


def wrong_command(chance: random.Random) -> list[str]:
    return [misspelt({*OPTIONS, "inspect", "demo"}, chance), *chance.choice(([], ["--json"], ["x"]))]


def wrong_key(chance: random.Random) -> list[str]:
    return ["train", "--config", "tiny", "--set", f"{misspelt(KEYS, chance)}={chance.choice(('1', 'true', 'x'))}"]


def wrong_number(chance: random.Random) -> list[str]:
    key = chance.choice((*POSITIVE_INTEGERS, *POSITIVE_NUMBERS))
    return ["train", "--config", "tiny", "--set", f"{key}={chance.choice(WRONG_NUMBERS)}"]


def wrong_kind(chance: random.Random) -> list[str]:
    value = chance.choice(("lstmm", "1", "''", "[]", "None", "\u202e", "a" * 300))
    return ["train", "--config", "tiny", "--set", f"{chance.choice(KINDS)}={value}"]


def wrong_argument(chance: random.Random) -> list[str]:
    word = "".join(chance.choices(string.ascii_letters + "/. \t\n*?~-$'\"é\x1b", k=chance.randint(1, 12))) + "?"
    temperature = chance.choice(("-1", "nan", "inf", "-inf", "1e9", "", "hot", "1,5", "0.5.5"))
    shares = chance.choice(("100", "50/60", "0/100", "1/2/3/94", word))
    number = chance.choice(("-3", "1e3", "0x10", "three", "", "1.5.1", "٣٣"))
    return chance.choice(
        (
            ["eval", "--split", word],
            ["eval", "--checkpoint", word],
            ["eval", "--device", word],
            ["eval", "--precision", word],
            ["eval", "--data", word],
            ["eval", f"--streams={number}"],
            ["sample", f"--length={number}"],
            ["sample", f"--seed={number}"],
            ["sample", f"--temperature={temperature}"],
            ["sample", "--checkpoint", number],
            ["train", "--config", word],
            ["train", "--resume", word],
            ["train", "--data", word],
            ["prepare", "--source", word],
            ["prepare", "--source", "text", "--input", word],
            ["prepare", "--source", "text", "--input", "texts", "--vocab", word],
            ["prepare", "--source", "text", "--input", "texts", f"--workers={number}"],
            ["prepare", "--source", "text", "--input", "texts", "--set", f"corpus.split={shares}"],
            ["prepare", word],
            ["eval", word[:-1] + "\\"],
            ["sample", "--json", "a-run", "another-run"],
        )
    )  # fmt: skip


MISTAKES = (wrong_option, wrong_command, wrong_key, wrong_number, wrong_kind, wrong_argument, wrong_argument)


@pytest.mark.parametrize(("first", "count"), [(0, 30), pytest.param(30, 1_000, marks=pytest.mark.faults)])
def test_wrong_command_lines(toured: Commands, first: int, count: int) -> None:
    before = snapshot(toured.folder)
    for seed in range(first, first + count):
        chance = random.Random(seed)
        arguments = chance.choice(MISTAKES)(chance)
        ended = toured(*arguments)
        assert ended.code in (2, 3), (arguments, ended)
        assert ended.stdout == "", arguments
        assert_one_error(ended.stderr)
        assert len(ended.stderr) < 1_500, arguments
    assert snapshot(toured.folder) == before
