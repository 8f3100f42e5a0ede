"""The command line as a user meets it: results, defaults, errors. Signals, crashes and damage are in tests/faults."""

import json
import math
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from charlm import formats, storage
from charlm.cli import main
from charlm.device import choose_device, resolve_precision
from charlm.nn.build import build_model
from charlm.terminal import format_value
from charlm.training.tasks.build import build_task
from charlm.workflows.describe_training import announce
from charlm.workflows.plan_training import plan_training
from tests.conftest import Charlm
from tests.processes import Commands, assert_one_error
from tests.workspaces import CONFIG, DATA, RUN, furnish, snapshot, steps, texts, weights

EVAL_KEYS = (
    "run split tokens characters words bytes nats perplexity character_perplexity word_perplexity bits_per_character"
    " bits_per_byte interval resampled uniform_bits_per_character"
).split()
LONGER = ("train", "--config", "tiny", "--set", "training.max_steps=30")


def parts(data: Path, split: str) -> list[dict[str, Any]]:
    """The rows of a split's documents, as anybody reads parquet."""
    files = sorted((data / "documents").glob(f"{split}-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def change_config(commands: Commands, old: str, new: str) -> None:
    path = commands.folder / "configs" / "tiny.toml"
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new), encoding="utf-8")


# ---- the whole path


def test_four_commands_from_a_text_file_to_text(commands: Commands) -> None:
    (commands.folder / "роман.txt").write_text("".join(texts().values()), encoding="utf-8")
    tiny = "--set model.body.hidden_size=16 --set training.max_steps=3".split()
    prepared = commands.succeed("prepare", "--source", "text", "--input", "роман.txt").stdout
    trained = commands.succeed("train", *tiny).stdout
    scored = commands.succeed("eval").stdout
    sampled = commands.succeed("sample", "--length", "20", "--prompt", "мы ").stdout
    assert prepared.startswith("data/роман: 1 document,")
    assert trained.startswith("runs/lstm-роман: 3 steps,")
    assert "bits per character" in scored
    assert sampled.startswith("мы ")
    assert len(sampled) == len("мы ") + 20 + len("\n")


def test_prepare_keeps_every_character_and_counts_what_it_kept(toured: Commands) -> None:
    data = toured.folder / DATA
    metadata = toured.json("prepare", "--config", "tiny")
    assert metadata["data"] == str(DATA)
    assert metadata == {"data": str(DATA), **json.loads((data / "corpus.json").read_text(encoding="utf-8"))}
    found: dict[str, str] = {}
    for split, counts in metadata["splits"].items():
        rows = parts(data, split)
        assert counts["characters"] == sum(len(row["text"]) for row in rows)
        assert counts["words"] == sum(len(row["text"].split()) for row in rows)
        assert counts["bytes"] == sum(len(row["text"].encode()) for row in rows)
        for row in rows:
            found[row["id"]] = found.get(row["id"], "") + row["text"]
    assert found == texts()
    counted = metadata["documents"]
    assert (counted["pages"], counted["kept"], counted["dropped"]) == (len(texts()), len(texts()), {})


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_eval_in_json_and_in_a_table(toured: Commands, split: str) -> None:
    score = toured.json("eval", "--split", split)
    assert list(score) == EVAL_KEYS
    assert (score["run"], score["split"]) == (str(RUN), split)
    assert (score["interval"] is not None) == (split == "train"), "the others are too short for one"
    rows = parts(toured.folder / DATA, split)
    assert score["tokens"] == len(np.load(toured.folder / DATA / f"{split}.npy")) - 1
    assert score["characters"] == sum(len(row["text"]) for row in rows)
    assert score["words"] == sum(len(row["text"].split()) for row in rows)
    assert score["bytes"] == sum(len(row["text"].encode()) for row in rows)
    nats = score["nats"]
    assert score["perplexity"] == pytest.approx(math.exp(nats / score["tokens"]))
    assert score["character_perplexity"] == pytest.approx(math.exp(nats / score["characters"]))
    assert score["word_perplexity"] == pytest.approx(math.exp(nats / score["words"]))
    assert score["bits_per_character"] == pytest.approx(nats / math.log(2) / score["characters"])
    assert score["bits_per_byte"] == pytest.approx(nats / math.log(2) / score["bytes"])
    table = toured.succeed("eval", "--split", split).stdout.splitlines()
    shown = {line[:20].strip().replace(" ", "_"): line[20:].strip() for line in table}
    assert list(shown) == EVAL_KEYS[:-2], "what the interval rests on is said beside it"
    assert score.pop("uniform_bits_per_character") > score["bits_per_character"]
    for name, value in score.items():
        if isinstance(value, float):
            assert float(shown[name].replace(",", "")) == pytest.approx(value, abs=5e-5)
        elif isinstance(value, int):
            assert int(shown[name].replace(",", "")) == value
        elif isinstance(value, list):
            assert shown[name].startswith(f"{value[0]:.4f} to {value[1]:.4f} bits per character (95 %, ")
        elif name == "resampled":
            assert value in shown["interval"]
        elif name == "interval":
            assert shown[name].startswith("unknown: ")
        else:
            assert shown[name] == ("-" if value is None else value)


def test_train_in_json_and_in_words(workspace: Commands) -> None:
    result = workspace.json(*LONGER)
    expected = (
        "run steps tokens epochs seconds parameters best_step best_bits_per_character uniform_bits_per_character"
        " ended_by already_finished"
    ).split()
    assert list(result) == expected
    assert (result["run"], result["steps"], result["already_finished"]) == (str(RUN), 30, False)
    assert result["tokens"] == 30 * 4 * 32
    assert result["best_step"] in steps(workspace.folder / RUN)
    again = workspace.json(*LONGER)
    assert again == {**result, "seconds": again["seconds"], "already_finished": True}
    assert "is finished" in workspace.succeed(*LONGER).stdout


def test_sample_is_the_same_in_json_and_for_the_same_seed(toured: Commands) -> None:
    command = ("sample", "--prompt", "мы из ", "--length", "60", "--temperature", "1")
    first = toured.json(*command)
    assert first == {"prompt": "мы из ", "temperature": 1.0, "seed": 0, "text": first["text"]}
    assert len(first["text"]) == 60
    assert toured.succeed(*command).stdout == "мы из " + first["text"] + "\n"
    assert toured.json(*command, "--seed", "1")["text"] != first["text"]
    greedy = [toured.json(*command, "--temperature", "0", "--seed", seed)["text"] for seed in ("0", "1")]
    assert greedy[0] == greedy[1]


def test_no_characters_are_asked_for(toured: Commands) -> None:
    assert toured.json("sample", "--length", "0")["text"] == ""
    assert toured.succeed("sample", "--length", "0", "--prompt", "я").stdout == "я\n"


# ---- defaults


def test_the_last_corpus_and_run_are_the_defaults(workspace: Commands) -> None:
    tiny = ("--set", "model.body.hidden_size=8", "--set", "training.max_steps=2")
    workspace.succeed(
        "prepare", "--workers", "1", "--source", "text", "--input", "texts/00.txt", "--input", "texts/01.txt"
    )
    assert workspace.json("train", *tiny)["run"] == "runs/lstm-00"
    assert workspace.json("eval")["run"] == "runs/lstm-00"
    workspace.succeed("prepare", "--workers", "1", "--config", "tiny")
    assert workspace.json("train", *tiny)["run"] == "runs/lstm-texts"
    assert workspace.json("eval")["run"] == "runs/lstm-texts"
    assert workspace.json("eval", "lstm-00")["run"] == "runs/lstm-00"


def test_a_name_wins_over_a_folder_of_texts_that_has_the_same_name(workspace: Commands) -> None:
    """data/texts was made of texts/, so both are there."""
    assert (workspace.folder / "texts").is_dir()
    assert workspace.json("train", "--config", "tiny", "--data", "texts")["already_finished"]
    line = workspace.fail(2, "train", "--config", "tiny", "--data", "./texts")
    assert "there is no prepared corpus in texts" in line


def test_names_directories_and_checkpoints_mean_the_same(toured: Commands) -> None:
    best = storage.read_json(toured.folder / RUN / "best.json")["checkpoint"]
    spellings = (RUN.name, str(RUN), f"./{RUN}", str(toured.folder / RUN), str(RUN / "checkpoints" / best))
    scores = [toured.json("eval", spelling) for spelling in spellings]
    assert {score["nats"] for score in scores} == {toured.json("eval")["nats"]}


def test_which_checkpoint(toured: Commands) -> None:
    nats = {which: toured.json("eval", "--checkpoint", which)["nats"] for which in ("10", "20", "best", "last")}
    assert nats["10"] != nats["20"] == nats["last"]
    best = storage.read_json(toured.folder / RUN / "best.json")["step"]
    assert nats["best"] == nats[str(best)]
    assert "it has 10, 20" in toured.fail(2, "eval", "--checkpoint", "15")
    assert "give best, last, or a step" in toured.fail(2, "eval", "--checkpoint", "first")


def test_a_copied_checkpoint_samples_alone(toured: Commands, tmp_path: Path, commands: Commands) -> None:
    shutil.copytree(toured.folder / RUN / "checkpoints" / "step-000000020", tmp_path / "alone")
    sampled = toured.json("sample", "--checkpoint", "20", "--length", "30")["text"]
    assert commands.json("sample", "alone", "--length", "30")["text"] == sampled


# ---- the same command again


def test_the_same_commands_again_change_nothing(workspace: Commands) -> None:
    before = snapshot(workspace.folder)
    assert "already prepared" in workspace.succeed("prepare", "--config", "tiny").stderr
    assert "is finished" in workspace.succeed("train", "--config", "tiny").stdout
    assert snapshot(workspace.folder) == before


def test_a_longer_budget_goes_on_to_the_same_weights(workspace: Commands) -> None:
    workspace.succeed(*LONGER)
    workspace.succeed(*LONGER, "--out", "runs/at-once")
    assert steps(workspace.folder / RUN)[-1] == 30
    assert weights(workspace.folder / RUN) == weights(workspace.folder / "runs" / "at-once")


def test_other_settings_are_refused_with_the_difference(workspace: Commands) -> None:
    before = snapshot(workspace.folder)
    line = workspace.fail(2, "train", "--config", "tiny", "--set", "training.seed=8")
    assert "training.seed: 0 -> 8" in line
    assert "--overwrite" in line
    assert "vocab.type: char -> byte" in workspace.fail(
        2, "prepare", "--config", "tiny", "--out", str(DATA), "--vocab", "byte"
    )
    assert "--resume is never" in workspace.fail(2, "train", "--config", "tiny", "--resume", "never")
    assert snapshot(workspace.folder) == before


def test_a_refused_setting_leaves_nothing_behind(workspace: Commands) -> None:
    before = snapshot(workspace.folder)
    late = ("train", "--config", "tiny", "--out", "runs/late", "--set", "training.max_steps=2")
    wrong = ("--set", "model.body.norm=batch", "--set", "training.recompute_len=8")
    assert "leave it out, or choose another" in workspace.fail(2, *late, *wrong)
    assert snapshot(workspace.folder) == before


def test_a_training_that_could_not_begin_is_not_the_current_one(workspace: Commands) -> None:
    """No backend knows its cell, which only the trainer finds out; the same run takes the settings that are mended."""
    late = ("train", "--config", "tiny", "--out", "runs/late", "--set", "training.max_steps=2")
    assert "cannot run this cell" in workspace.fail(
        2, *late, "--set", "model.body.norm=layer", "--set", "model.body.backend=torch"
    )
    assert workspace.json("eval")["run"] == str(RUN)
    assert workspace.json(*late)["steps"] == 2
    assert workspace.json("eval")["run"] == "runs/late"


def test_overwrite_starts_anew(workspace: Commands) -> None:
    workspace.succeed("train", "--config", "tiny", "--set", "training.max_steps=3", "--overwrite")
    assert steps(workspace.folder / RUN) == [3]
    before = (workspace.folder / DATA / "vocab.json").read_bytes()
    workspace.succeed(
        "prepare", "--workers", "1", "--config", "tiny", "--vocab", "byte", "--out", str(DATA), "--overwrite"
    )
    assert (workspace.folder / DATA / "vocab.json").read_bytes() != before
    assert not list((workspace.folder / "data").glob(".*"))


def test_foreign_folders_are_left_alone_even_with_overwrite(workspace: Commands) -> None:
    (workspace.folder / "precious").mkdir()
    (workspace.folder / "precious" / "thesis.txt").write_text("years of work", encoding="utf-8")
    for command in ("prepare", "train"):
        line = workspace.fail(2, command, "--config", "tiny", "--out", "precious", "--overwrite")
        assert "choose another --out" in line
    assert (workspace.folder / "precious" / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_a_corpus_that_contradicts_the_settings(workspace: Commands) -> None:
    line = workspace.fail(2, "train", "--config", "tiny", "--data", "texts", "--set", "corpus.vocab.type=byte")
    assert "corpus.vocab.type: char -> byte" in line
    assert "corpus.source.type: text -> sample" in workspace.fail(2, "train", "--config", "sample", "--data", "texts")
    assert "is not prepared" in workspace.fail(2, "train", "--config", "sample")


def test_a_run_is_scored_on_its_own_corpus(workspace: Commands) -> None:
    """Another corpus is current; a third one has to be named, and needs the model's vocabulary."""
    expected = workspace.json("eval")["nats"]
    workspace.succeed("prepare", "--workers", "1", "--source", "text", "--input", "texts/03.txt", "--vocab", "byte")
    assert workspace.json("eval", RUN.name)["nats"] == expected
    assert "another vocabulary" in workspace.fail(3, "eval", RUN.name, "--data", "03-byte")
    (workspace.folder / DATA).rename(workspace.folder / "data" / "elsewhere")
    line = workspace.fail(3, "eval", RUN.name)
    assert "which is not here: there is none in data/texts, data/03-byte is another one; name the corpus" in line
    assert workspace.json("eval", RUN.name, "--data", "elsewhere")["nats"] == expected


# ---- dry runs


def test_a_dry_run_writes_nothing(workspace: Commands) -> None:
    before = snapshot(workspace.folder)
    assert "data/new" in workspace.succeed("prepare", "--config", "tiny", "--out", "data/new", "--dry-run").stderr
    assert workspace.json("prepare", "--config", "tiny", "--out", "data/new", "--dry-run")["data"] == "data/new"
    workspace.succeed("prepare", "--config", "tiny", "--dry-run")
    described = workspace.json("train", "--config", "tiny", "--out", "runs/new", "--dry-run")
    assert snapshot(workspace.folder) == before
    assert (described["run"], described["corpus"], described["max_steps"]) == ("runs/new", str(DATA), 20)
    assert described["parameters"] == workspace.json("train", "--config", "tiny")["parameters"]
    shown = workspace.succeed("train", "--config", "tiny", "--out", "runs/new", "--dry-run").stdout
    for name, value in described.items():
        assert re.search(rf"^{name.replace('_', ' ')} +", shown, re.MULTILINE), name
        if name not in ("memory", "characters_per_second", "time"):  # which differ from one moment to the next
            assert format_value(value) in shown, name


def test_a_dry_run_knows_the_steps_of_an_epoch(workspace: Commands) -> None:
    command = ("train", "--config", "tiny", "--out", "runs/new", "--set", "training.seq_len_varies=true")
    steps = workspace.json(*command, "--dry-run")["steps_per_epoch"]
    epoch = workspace.json(*command, "--set", "training.max_steps=100000", "--set", "training.max_epochs=1")
    assert epoch["steps"] == steps


def test_what_several_processes_begin_is_described_as_theirs(toured: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toured.folder)
    plan = plan_training("tiny", (), None, None, "cpu", need_corpus=True)
    assert plan.corpus is not None
    model = build_model(plan.experiment.model, plan.vocab_size)
    task = build_task(plan.corpus)
    alone, pair = (task.open_batches(plan.experiment.training, plan.experiment.model, n) for n in (1, 2))
    assert pair.batch_size == 2 * alone.batch_size
    assert pair.steps_per_epoch == pytest.approx(alone.steps_per_epoch / 2, abs=1)
    one, two = (announce(plan, model, batches, n) for batches, n in ((alone, 1), (pair, 2)))
    assert one.partition(" needed")[0] == two.partition(" needed")[0], "the memory is that of each process"
    assert two.endswith(" · 2 processes")


def test_a_dry_run_needs_no_corpus(commands: Commands) -> None:
    described = commands.json("train", "--dry-run")
    assert described["corpus"] == "none prepared yet"
    assert "assumed" in described["vocabulary"]
    assert not list(commands.folder.iterdir())


# ---- help


def test_without_arguments_there_is_help(commands: Commands) -> None:
    ended = commands.succeed()
    assert ended.stderr == ""
    assert ended.stdout == commands.succeed("--help").stdout
    for command in ("prepare", "train", "eval", "sample"):
        assert re.search(rf"^  {command} ", ended.stdout, re.MULTILINE)


def test_the_version_tells_of_torch_its_device_and_the_formats(commands: Commands) -> None:
    device = choose_device("auto")
    told = commands.succeed("--version").stdout.splitlines()
    assert re.fullmatch(r"charlm \d+\.\d+\.\d+", told[0])
    assert told[1] == f"Python {platform.python_version()}"
    assert re.fullmatch(rf"torch {re.escape(torch.__version__)}, built for \S.*", told[2])
    assert re.fullmatch(rf"device {device.type}( \(.+\))?, precision {resolve_precision('auto', device)}", told[3])
    versions = (formats.CORPUS, formats.VOCABULARY, formats.CHECKPOINT, formats.CONVERSATION)
    kinds = ("corpus", "vocabulary", "checkpoint", "conversation")
    assert told[4:] == [f"{kind} format {version}" for kind, version in zip(kinds, versions, strict=True)]


@pytest.mark.parametrize("failure", ["ImportError('libc10.so:\\n not found')", "AttributeError('no such operator')"])
def test_the_version_is_told_whatever_is_wrong_with_torch(charlm: Charlm, tmp_path: Path, failure: str) -> None:
    (tmp_path / "broken" / "torch").mkdir(parents=True)
    (tmp_path / "broken" / "torch" / "__init__.py").write_text(f"raise {failure}\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path / "broken"), *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = charlm("--version", env={"PYTHONPATH": path})
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert re.fullmatch(r"torch does not work: (ImportError: libc10.so: not found|AttributeError: .*)", lines[2])
    assert [
        line.split()[0] for line in lines
    ] == "charlm Python torch corpus vocabulary checkpoint conversation".split()


@pytest.mark.parametrize("command", ["", "prepare", "train", "eval", "sample"])
def test_help_imports_neither_torch_nor_datasets(command: str) -> None:
    program = (
        "import sys; from charlm.cli import main; sys.argv = ['charlm', *sys.argv[1:]]\n"
        "try: main()\nfinally: print({'torch', 'datasets', 'numpy', 'pyarrow', 'lxml'} & set(sys.modules))"
    )
    arguments = [*command.split(), "--help"]
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)
    assert ended.stdout.startswith("Usage: charlm")
    assert ended.stdout.endswith("set()\n")


def test_help_comes_within_half_a_second() -> None:
    """On a machine that starts a bare interpreter in 30 ms; a slower or busier one gets as much longer."""

    def median(*command: str) -> float:
        durations: list[float] = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True, timeout=60)
            durations.append(time.perf_counter() - start)
        return statistics.median(durations)

    slowness = max(1.0, median("-c", "pass") / 0.03) * float(os.environ.get("CHARLM_TEST_SLOWNESS", "1"))
    assert median("-m", "charlm", "--help") < 0.5 * slowness


# ---- errors

USAGE: dict[str, tuple[str, str]] = {
    "unknown command": ("sampel", "no command sampel; did you mean `charlm sample`"),
    "unknown option": ("train --confg tiny", "--confg"),
    "option without its value": ("train --set", "--set"),
    "surplus argument": ("prepare texts", "texts"),
    "not a setting": ("train --set training", r"--set 'training' is not KEY=VALUE"),
    "empty key": ("train --set =5", "is not KEY=VALUE"),
    "typo in a setting": ("train --set training.max_step=5", r"--set: there is no .*did you mean \"max_steps\"\?"),
    "typo in a root": ("train --set trainig.max_steps=5", r"did you mean \"training\"\?"),
    "wrong type": ("train --set training.max_steps=many", "training.max_steps = 'many'.*integer"),
    "string for a number": ("train --set training.max_steps='5'", "integer"),
    "fraction of a step": ("train --set training.max_steps=2.5", "training.max_steps = 2.5"),
    "out of range": ("train --set training.batch_size=0", "training.batch_size = 0.*greater than or equal to 1"),
    "above its range": ("train --set model.body.dropout=1.0", "model.body.dropout = 1.0.*less than 1"),
    "not a number": ("train --set training.optimizer.lr=nan", "training.optimizer.lr = nan.*finite"),
    "infinite": ("train --set training.optimizer.lr=inf", "training.optimizer.lr = inf.*finite"),
    "unknown kind": ("train --set model.body.cell.type=gruu", r"--set: model.body.cell.type = 'gruu'.*\"gru\"\?"),
    "no table": ("train --set model.body.cell=gru", "model.body.cell = 'gru' is not a table.*model.body.cell.type"),
    "no budget": ("train --set training.max_steps=[]", "training.max_steps"),
    "missing config": ("train --config lstmm", r"no config 'lstmm'; did you mean \"lstm\"\?"),
    "missing config file": ("train --config no/where.toml", "no config 'no/where.toml'"),
    "missing corpus": ("train --config lstm --data nowhere", "no prepared corpus 'nowhere'; there are texts"),
    "missing run": ("eval nowhere", "no run 'nowhere'; there are tiny-texts"),
    "missing checkpoint": ("sample --checkpoint 7", "no checkpoint of step 7; it has 10, 20"),
    "missing split": ("eval --split dev", "no split 'dev'; choose one of train, valid, test"),
    "missing input": ("prepare --source text --input nowhere", "no file nowhere"),
    "missing dump": ("prepare --input nowhere.xml.bz2", "no file nowhere.xml.bz2"),
    "no input": ("prepare --source text", "no input; give files or folders with --input"),
    "unknown source": ("prepare --source texts", r"--source: .*'texts'.*\"text\"\?"),
    "unknown vocabulary": ("prepare --source text --input texts --vocab words", r"--vocab: .*'words'.*\"word\"\?"),
    "bad split": ("prepare --source text --input texts --set corpus.split=50/60", "50/60.*sum to 100"),
    "no device": ("eval --device gpu", "no device 'gpu'; choose one of auto, cpu, cuda, mps"),
    "no precision": ("eval --precision fp8", "--precision fp8"),
    "no lanes": ("eval --streams 0", "--streams"),
    "no resume": ("train --resume maybe", "--resume maybe.*auto or never"),
    "negative temperature": ("sample --temperature=-0.5", "--temperature -0.5 is out of range; give 0"),
    "temperature nan": ("sample --temperature nan", "temperature nan"),
    "temperature inf": ("sample --temperature inf", "temperature inf"),
    "too hot": ("sample --temperature 100.1", "temperature 100.1"),
    "temperature of words": ("sample --temperature warm", "--temperature"),
    "negative length": ("sample --length=-1", "--length"),
    "negative seed": ("sample --seed=-1", "--seed"),
    "seed of 65 bits": ("sample --seed 18446744073709551616", "--seed"),
    "a file where a folder goes": (
        "prepare --source text --input texts --out texts/00.txt",
        "texts/00.txt .*; choose another --out",
    ),
}


def test_an_empty_argument_is_said(toured: Commands) -> None:
    assert "an argument is empty; give a value" in toured.fail(2, "runs", "")


@pytest.mark.parametrize(("arguments", "pattern"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_one_line_and_touches_nothing(toured: Commands, arguments: str, pattern: str) -> None:
    before = snapshot(toured.folder)
    json_option = [] if arguments.endswith("--set") else ["--json"]
    line = toured.fail(2, *arguments.replace("train --set", "train --config tiny --set").split(), *json_option)
    assert re.search(pattern, line), line
    assert snapshot(toured.folder) == before


@pytest.mark.parametrize("argument", ["--prompt=\udcff", "--out=\udcff", "--set=corpus.split=\ud800"])
def test_lone_surrogates_are_no_text(toured: Commands, argument: str) -> None:
    assert "is not Unicode text" in toured.fail(2, "sample" if "prompt" in argument else "train", argument)


def test_a_traceback_only_with_debug(toured: Commands) -> None:
    for arguments in (("sample", "--temperature", "-1"), ("train", "--config", "nowhere"), ("nonsense",)):
        quiet = toured(*arguments)
        assert_one_error(quiet.stderr)
        for position in range(len(arguments) + 1):
            loud = toured(*arguments[:position], "--debug", *arguments[position:])
            assert loud.code == quiet.code == 2
            assert loud.stderr.startswith("Traceback (most recent call last):\n")
            assert loud.error == quiet.error


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        (
            "hidden_size = 16",
            "hiden_size = 16",
            r"tiny.toml:9: .*body.hiden_size' of the body recurrent; did you mean \"hidden_size\"\?",
        ),
        ("max_steps = 20", 'max_steps = "20"', r"tiny.toml:14: training.max_steps = '20'"),
        ("batch_size = 4", "batch_size = -4", r"tiny.toml:12: training.batch_size = -4"),
        ('type = "constant"', 'type = "constnt"', r"tiny.toml:19: training.schedule.type = 'constnt'.*\"constant\"\?"),
        ("[model.body]", "[model.bodi]", r"tiny.toml:8: .*'model.bodi'; did you mean \"body\"\?"),
        ("[model.body]", "[model.body", r"tiny.toml is not TOML: .*line 8"),
        ("seq_len = 32", "seq_len = " + "9" * 5000, "tiny.toml is not TOML"),
        ("seq_len = 32", "seq_len = " + "[" * 5000, "tiny.toml is not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_config_is_shown_with_its_line(commands: Commands, old: str, new: str, pattern: str) -> None:
    furnish(commands)
    change_config(commands, old, new)
    for command in ("prepare", "train"):
        line = commands.fail(2, command, "--config", "tiny", "--json")
        assert re.search(pattern, line), line
        assert len(line) < 1000


def test_a_config_that_is_no_text(commands: Commands) -> None:
    (commands.folder / "bad.toml").write_bytes(CONFIG.encode() + b"# \xff\n")
    assert f"not UTF-8 (byte {len(CONFIG) + 2})" in commands.fail(2, "train", "--config", "bad.toml")


def test_nothing_has_been_made_yet(commands: Commands) -> None:
    for command, cure in (("train", "prepare"), ("eval", "train"), ("tune", "train")):
        assert f"yet; make one with `charlm {cure}`" in commands.fail(2, command, "--json")
    assert not list(commands.folder.iterdir())


def test_what_was_current_is_gone(workspace: Commands) -> None:
    (workspace.folder / RUN).rename(workspace.folder / "runs" / "renamed")
    assert "no longer exists; there are renamed" in workspace.fail(2, "eval")
    (workspace.folder / "runs" / "current.json").write_text("[]", encoding="utf-8")
    assert "current.json is damaged" in workspace.fail(2, "sample")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB, other allocations: 1 GB)."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["python", "cuda", "mps", "cuda runtime", "cpu"],
)
def test_a_full_memory_is_no_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["charlm", "eval"])
    monkeypatch.setattr("charlm.cli.CommandGroup.make_context", exhausted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 5
    said = capsys.readouterr().err
    assert_one_error(said)
    assert "--streams" in said
    assert "--device cpu" in said


@pytest.mark.parametrize("tidying", [None, AttributeError("type object 'tqdm' has no attribute '_lock'")])
def test_ctrl_c_while_arguments_are_read(
    tidying: Exception | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where what tidies up behind it fails."""

    def interrupted(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            if tidying is not None:
                raise tidying

    monkeypatch.setattr("sys.argv", ["charlm", "inspect", "x"])
    monkeypatch.setattr("charlm.cli.CommandGroup.make_context", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "charlm: error: interrupted; run the same command again\n"
