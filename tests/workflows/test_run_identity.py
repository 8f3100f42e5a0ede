"""What a run was made from belongs to its identity: a changed input is refused, rebuilds a cache, or is documented."""

import inspect
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from typer.main import get_command

from charlm import c_library, storage
from charlm.cli import app
from charlm.commands.train import train
from charlm.errors import SettingsError
from charlm.experiment import CHANGEABLE, Experiment, load_experiment
from charlm.nn.ngrams.settings import NgramComponentSettings
from charlm.settings import Settings, merge_layers, settings_classes, single_value_layer
from charlm.text.examples.settings import ExampleSettings
from charlm.training.resume import note_differences
from charlm.training.run_directory import RunDirectory
from charlm.training.run_origin import WEIGHTS_FROM_SEED
from charlm.workflows.open_run import open_run
from tests.golden.test_golden import GOLDEN
from tests.processes import Commands
from tests.workspaces import DATA, RUN, snapshot, steps, weights

DOCS = Path(__file__).parents[2] / "charlm" / "docs"

# ---- every setting


DOWNLOADS = ("corpus.source.mirrors", "corpus.source.contact", "corpus.source.url")
"""How the text of the corpus came here, which changes nothing in it."""
RESUMABLE = {f"training.{name}" for name in CHANGEABLE} | set(DOWNLOADS)
COMPANIONS: dict[str, dict[str, Any]] = {
    **{f"{body}.norm_gain": {f"{body}.norm": "layer"} for body in ("model.body", "model.condition.encoder.body")},
    **{f"{body}.norm_per_step": {f"{body}.norm": "batch"} for body in ("model.body", "model.condition.encoder.body")},
    **{f"model.ngram.{name}": {"model.ngram.gate_size": 7} for name in NgramComponentSettings.model_fields},
    "corpus.source.weights": {"corpus.source.sources": ({"type": "sample"}, {"type": "text", "input": ("a",)})},
}
"""What must be set for a setting to be allowed."""
REQUIRED: dict[str, dict[str, Any]] = {
    "mix": {"sources": ({"type": "sample"},)},
    "copied": {"directory": "elsewhere/corpus"},
    "contextual": {"forward": "lm"},
}
"""Kinds with settings that have no default."""
OF_EXAMPLES = {"corpus.task", "corpus.repeats"} | {
    f"corpus.source.{name}" for name in ("label_column", "tags_column", "target_column", "valid_split", "test_split")
}
"""Settings of labels and tags, which a corpus decides: tests/workflows/test_corpus_identity.py has them."""
KINDS_OF_EXAMPLES = tuple(settings_classes(ExampleSettings))
TEXTS = ("90/10", "cp1251", "other")
OTHERS = (1, 2, 3, 128, 20_000, 2_000_000, 0.5, 1.5, 0.25, (1,), (2,), ("other",), (1.0, 2.0), ({"type": "enwik8"},))


@dataclass(frozen=True)
class Change:
    """One setting, changed alone."""

    base: Mapping[str, Any]
    key: str
    value: object

    def experiment(self, *, changed: bool) -> Experiment:
        given = {"training.max_steps": 10, **self.base, **({self.key: self.value} if changed else {})}
        return load_experiment(merge_layers(single_value_layer(key, value, "test") for key, value in given.items()))


def changes(
    settings_class: type[Settings], prefix: str = "", base: Mapping[str, Any] | None = None
) -> Iterator[Change]:
    """Yield a change of every setting of a class and of the kinds in it."""
    base = base or {}
    for name, field in settings_class.model_fields.items():
        key = f"{prefix}{name}"
        if key in OF_EXAMPLES:
            continue
        kinds = [] if key == "corpus.source.sources" else list(settings_classes(field.annotation))
        kinds = [kind for kind in kinds if kind not in KINDS_OF_EXAMPLES]
        for kind in kinds:
            type_name: str = kind.model_fields["type"].default if "type" in kind.model_fields else ""
            needed = {f"{key}.{item}": value for item, value in REQUIRED.get(type_name, {}).items()}
            chosen = {f"{key}.type": type_name} if type_name and len(kinds) > 1 else {}
            yield from changes(kind, f"{key}.", {**base, **chosen, **needed})
        if len(kinds) > 1:
            current = kinds[0].model_fields["type"].default if field.default is None else field.default.type
            before = {**base, f"{key}.type": current} if field.default is None else base
            other = next(other_kinds(kinds, current), None)
            if other is not None:  # else the other kinds need more than a type
                yield Change(before, f"{key}.type", other)
        elif not kinds and name != "type":
            yield find_change({**base, **COMPANIONS.get(key, {})}, key, field.annotation)


def other_kinds(kinds: list[type[Settings]], current: str) -> Iterator[str]:
    names = [kind.model_fields["type"].default for kind in kinds]
    return (name for name in names if name != current and name not in REQUIRED)


def find_change(base: Mapping[str, Any], key: str, annotation: Any) -> Change:
    """Find a value that the setting takes and does not have."""
    words = get_args(annotation) if get_origin(annotation) is Literal else ()
    for value in (*words, True, False, *TEXTS, *OTHERS):
        change = Change(base, key, value)
        try:
            if change.experiment(changed=True) != change.experiment(changed=False):
                return change
        except SettingsError:
            continue
    raise AssertionError(f"no other value is known for {key}: add one to OTHERS, or what it needs to COMPANIONS")


CHANGES = {f"{change.key} {json.dumps(dict(change.base))}": change for change in changes(Experiment)}


def resume(run: RunDirectory, experiment: Experiment) -> None:
    open_run(run, experiment, Path("data/texts"), WEIGHTS_FROM_SEED, resume=True, overwrite=False)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_setting_is_refused_by_name_or_may_change(change: Change, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    resume(run, change.experiment(changed=False))
    storage.make_directory(run.checkpoint(1))
    storage.write_manifest(run.checkpoint(1), {})
    before = snapshot(tmp_path)
    if change.key in RESUMABLE:
        resume(run, change.experiment(changed=True))
        return
    with pytest.raises(SettingsError) as caught:
        resume(run, change.experiment(changed=True))
    assert f"{change.key}: " in caught.value.what
    assert snapshot(tmp_path) == before


def test_all_settings_are_in_the_table() -> None:
    """A few of each root, and all that may change: the walk did not lose any."""
    keys = {change.key for change in CHANGES.values()}
    assert keys >= RESUMABLE
    assert keys >= {"model.direction", "model.body.cell.reset", "model.head.cutoffs", "training.optimizer.adamw.beta2"}
    assert keys >= {"corpus.vocab.directory", "corpus.source.sources", "corpus.source.math", "training.seed"}
    assert len(CHANGES) > 120


def test_what_may_change_is_documented() -> None:
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    for key in RESUMABLE:
        assert f"`{key}`" in text or f"`{key.rpartition('.')[2]}`" in text, key


def test_settings_that_0_1_0_did_not_have_are_no_difference(tmp_path: Path) -> None:
    """A run on a Wikipedia: `versions` came later."""
    run = RunDirectory(tmp_path)
    experiment = load_experiment(single_value_layer("training.max_steps", 10, "test"))
    resume(run, experiment)
    storage.make_directory(run.checkpoint(1))
    storage.write_manifest(run.checkpoint(1), {})
    text = run.experiment_path.read_text(encoding="utf-8")
    assert 'versions = "newest"\n' in text
    run.experiment_path.write_text(text.replace('versions = "newest"\n', ""), encoding="utf-8")
    resume(run, experiment)
    assert run.experiment_path.read_text(encoding="utf-8") == text


# ---- every option of `train`


OPTIONS = {
    "config": "changed settings are refused",
    "settings": "changed settings are refused",
    "minutes": "more of them continue it",
    "data": "another corpus is refused",
    "init_from": "other initial weights are refused",
    "resume": "`never` refuses",
    "device": "a note",
    "out": "another run",
    "overwrite": "made anew, as asked",
    "dry_run": "makes nothing",
    "as_json": "shows the same in another form",
}
"""What a change of each option of `train` does to a run that exists."""


def test_every_option_of_train_is_placed() -> None:
    assert set(inspect.signature(train).parameters) == set(OPTIONS)


SHORT = ("--set", "training.max_steps=2", "--set", "training.batch_size=4", "--set", "training.seq_len=32")
TUNED = ("train", "--out", "runs/tuned", *SHORT)
FROM_BASE = (*TUNED, "--init-from", "tiny-texts")


@pytest.fixture
def tuned(workspace: Commands) -> Commands:
    """A run that began with the weights of another one, and a third run with other weights."""
    workspace.succeed(*FROM_BASE)
    workspace.succeed("train", "--config", "tiny", "--out", "runs/other", "--set", "training.seed=1")
    return workspace


def test_other_initial_weights_are_refused_with_the_difference(tuned: Commands) -> None:
    before = snapshot(tuned.folder)
    checkpoint = tuned.folder / RUN / "checkpoints" / "step-000000010"
    for other in ("other", str(RUN / "checkpoints" / checkpoint.name)):
        line = tuned.fail(2, *TUNED, "--init-from", other)
        assert "--init-from: runs/tiny-texts/checkpoints/step-000000020 (" in line
        assert f"-> runs/{Path(other).name if other == 'other' else RUN.name}/checkpoints/step-" in line
        assert "choose another --out, or add --overwrite" in line
    assert snapshot(tuned.folder) == before
    new = tuned.fail(2, *TUNED, "--config", str(Path("runs/tuned/experiment.toml")))
    assert "-> weights drawn from the seed" in new
    scratch = tuned.fail(2, "train", "--config", "tiny", "--init-from", "other")
    assert "--init-from: weights drawn from the seed -> runs/other/" in scratch
    assert snapshot(tuned.folder) == before
    tuned.succeed(*TUNED, "--init-from", "other", "--overwrite")
    assert "is finished" in tuned.succeed(*TUNED, "--init-from", "other").stdout


def test_equal_weights_are_the_same_under_any_name(tuned: Commands) -> None:
    runs = tuned.folder / "runs"
    shutil.copytree(runs / RUN.name, runs / "copy")
    shutil.copytree(runs / RUN.name / "checkpoints" / "step-000000020", tuned.folder / "alone")
    for same in ("copy", "alone"):
        assert "is finished" in tuned.succeed(*TUNED, "--init-from", same).stdout
    (runs / RUN.name).rename(runs / "renamed")
    tuned.succeed(*TUNED, "--init-from", "renamed", "--set", "training.max_steps=3")
    assert steps(runs / "tuned")[-1] == 3


def test_a_name_alone_does_not_make_weights_the_same(tuned: Commands) -> None:
    runs = tuned.folder / "runs"
    shutil.rmtree(runs / RUN.name)
    (runs / "other").rename(runs / RUN.name)
    assert "--init-from: runs/tiny-texts/" in tuned.fail(2, *FROM_BASE)


def test_a_run_goes_on_without_the_run_that_it_began_with(tuned: Commands) -> None:
    shutil.rmtree(tuned.folder / RUN)
    tuned.succeed(*FROM_BASE, "--set", "training.max_steps=3")
    assert steps(tuned.folder / "runs/tuned")[-1] == 3
    assert "there is no run 'tiny-texts'" in tuned.fail(2, *FROM_BASE, "--out", "runs/new")
    assert "there is no run 'gone'" in tuned.fail(2, *TUNED, "--init-from", "gone")
    before = snapshot(tuned.folder)
    assert "--overwrite would remove" in tuned.fail(2, *FROM_BASE, "--overwrite")
    assert snapshot(tuned.folder) == before


def test_overwrite_does_not_remove_the_weights_that_it_begins_with(workspace: Commands) -> None:
    before = snapshot(workspace.folder)
    line = workspace.fail(2, "train", "--init-from", str(RUN), "--out", str(RUN), "--overwrite", *SHORT)
    assert "which --overwrite would remove; choose another --out" in line
    assert snapshot(workspace.folder) == before


def test_another_corpus_is_refused(workspace: Commands) -> None:
    """Another one; and one of the same name and settings with another text."""
    command = ("train", "--config", "tiny", "--out", str(RUN))
    workspace.succeed("prepare", "--workers", "1", "--source", "text", "--input", "texts/00.txt")
    line = workspace.fail(2, "train", "--set", "training.max_steps=20", "--data", "00", "--out", str(RUN))
    assert "corpus.source.input: ['texts'] -> ['00.txt']" in line
    (workspace.folder / "texts" / "00.txt").write_text("another text. " * 300, encoding="utf-8")
    workspace.succeed("prepare", "--workers", "1", "--config", "tiny", "--overwrite")
    assert "its fingerprint differs" in workspace.fail(3, *command)


def test_a_run_of_0_1_0_resumes_without_a_record_of_its_origin(commands: Commands) -> None:
    for kept in ("data/char", "runs/lstm"):
        shutil.copytree(GOLDEN / kept, commands.folder / kept)
    assert not (commands.folder / "runs/lstm/origin.json").exists()
    command = ("train", "--config", "runs/lstm/experiment.toml", "--data", "char", "--out", "runs/lstm")
    assert "is finished" in commands.succeed(*command).stdout
    assert storage.read_json(commands.folder / "runs/lstm/origin.json") == {"corpus": "../../data/char"}


def test_a_damaged_record_is_named(workspace: Commands) -> None:
    path = workspace.folder / RUN / "origin.json"
    for content in ("", "[]", '{"corpus": 1}', '{"corpus": "x", "initial_weights": {"sha256": 1}}', "[" * 9999):
        path.write_text(content, encoding="utf-8")
        assert "origin.json is damaged; delete it" in workspace.fail(3, "eval", str(RUN))
        assert "origin.json is damaged" in workspace.fail(3, "train", "--config", "tiny")
    path.unlink()
    workspace.succeed("eval", str(RUN))


def test_what_keeps_a_resumed_run_from_being_bit_exact_is_said() -> None:
    notes: list[str] = []
    here = {"rows": 4, "micro_batches": 1, "ranks": 1, "threads": 1, "device": "cpu", "precision": "fp32"}
    note_differences(here, here, notes.append)
    note_differences({"rows": 4, "ranks": 1, "threads": 1}, here, notes.append)  # as 0.1.0 recorded
    assert notes == []
    others = {"rows": 3, "micro_batches": 2, "ranks": 2, "threads": 2, "device": "cuda", "precision": "bf16"}
    for key, value in others.items():
        note_differences({**here, key: value}, here, notes.append)
        assert f"{value} -> {here[key]}: not bit-exact" in notes[-1]


# ---- what other commands write, or keep, of a run


COMMANDS = {
    "train": "named output",
    "tune": "cache",
    "prepare": "named output",  # tests/workflows/test_corpus_identity.py
    "demo": "named output",
    **dict.fromkeys(("eval", "compare", "sample", "predict", "explain", "inspect", "runs", "report"), "computed anew"),
    "baseline": "of a corpus alone",
    "serve": "as it was when the server began",
    **dict.fromkeys(("export", "compress", "decompress"), "named output"),
}
FAST = ("--set", "max_tokens=300", "--set", "statistics_batches=1", "--set", "lr=[1e-4]", "--set", "decay=[0.01]")
ANEW = {
    "eval": ("eval", str(RUN)),
    "compare": ("compare", str(RUN)),
    "sample": ("sample", str(RUN), "--length", "80", "--temperature", "1"),
    "explain": ("explain", str(RUN), "мы из"),
    "inspect": ("inspect", str(RUN)),
    "runs": ("runs",),
}
RETRAIN = ("train", "--config", "tiny", "--set", "training.seed=5", "--overwrite")


def test_every_command_is_placed() -> None:
    assert set(get_command(app).commands) == set(COMMANDS)  # type: ignore[attr-defined]
    anew = {name for name, what in COMMANDS.items() if what == "computed anew"}
    assert anew == {*ANEW, "report", "predict"}, "predict needs a run of labels"


def test_results_of_a_run_that_was_trained_anew_are_those_of_the_new_weights(workspace: Commands) -> None:
    def page() -> str:
        workspace.succeed("report", str(RUN), "--no-png")
        return (workspace.folder / "report/report.html").read_text(encoding="utf-8")

    old, old_page = {name: workspace.json(*command) for name, command in ANEW.items()}, page()
    workspace.succeed(*RETRAIN)
    for name, command in ANEW.items():
        new = workspace.json(*command)
        if name != "inspect":  # it describes the network, which is the same
            assert new != old[name], name
    assert page() != old_page


def test_tuning_belongs_to_the_weights_and_not_to_the_step(workspace: Commands) -> None:
    adapted = ("eval", str(RUN), "--dynamic", "--cache", "--calibrated")
    workspace.succeed("tune", str(RUN), *FAST)
    workspace.succeed(*adapted)
    before = weights(workspace.folder / RUN)
    tuning = workspace.folder / RUN / "adaptive"
    shutil.copytree(tuning, workspace.folder / "kept")
    workspace.succeed(*RETRAIN)
    assert not tuning.exists(), "it was part of the run"
    shutil.copytree(workspace.folder / "kept", tuning)
    assert weights(workspace.folder / RUN) != before
    line = workspace.fail(2, *adapted)
    assert "has been trained anew since it was tuned; run `charlm tune " in line
    workspace.succeed("tune", str(RUN), *FAST)
    workspace.succeed(*adapted)


def test_a_copied_run_keeps_its_tuning(workspace: Commands) -> None:
    workspace.succeed("tune", str(RUN), *FAST)
    shutil.copytree(workspace.folder / RUN, workspace.folder / "runs/copy")
    assert "dynamic" in workspace.json("eval", "copy", "--dynamic")


def test_tuning_of_0_1_0_does_not_say_for_which_weights(workspace: Commands) -> None:
    workspace.succeed("tune", str(RUN), *FAST)
    for path in (workspace.folder / RUN / "adaptive").glob("*.json"):
        content = {key: value for key, value in storage.read_json(path).items() if key != "checkpoint"}
        storage.write_json(path, content)
    assert "did not record for which weights; run `charlm tune " in workspace.fail(2, "eval", str(RUN), "--cache")


def test_kernels_are_compiled_again_for_another_source_compiler_flags_or_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = '#!/bin/sh\nwhile [ "$1" != "-o" ]; do shift; done\necho compiled > "$2"\n'

    def write_compiler(name: str, text: str = script) -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    flags = ["-O3"]

    def library(compiler: str) -> Path:
        return c_library.compile_or_reuse(compiler, [source], flags, headers=[header])

    monkeypatch.setenv("CHARLM_CACHE", str(tmp_path / "cache"))
    source, header = tmp_path / "kernels.c", tmp_path / "kernels.h"
    source.write_text("int a;", encoding="utf-8")
    header.write_text("int c;", encoding="utf-8")
    cc = write_compiler("cc")
    found = [library(cc)]
    assert library(cc) == found[0], "reused"
    source.write_text("int b;", encoding="utf-8")
    found.append(library(cc))
    header.write_text("int d;", encoding="utf-8")
    found.append(library(cc))
    found.append(library(write_compiler("gcc")))
    write_compiler("cc", script + "# a later version\n")
    found.append(library(cc))
    flags[:] = ["-O2"]
    found.append(library(cc))
    monkeypatch.setattr(c_library, "_cpu_description", lambda: "another")
    found.append(library(cc))
    monkeypatch.setattr(c_library.platform, "machine", lambda: "another")
    found.append(library(cc))
    assert len(set(found)) == len(found) == 8
    assert all(path.read_text(encoding="utf-8") == "compiled\n" for path in found)


def test_a_compiler_behind_a_link_is_seen(tmp_path: Path) -> None:
    """`cc` usually is a link to the version of the compiler."""
    for name in ("gcc-12", "gcc-13"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    described: list[str] = []
    for name in ("gcc-12", "gcc-13"):
        (tmp_path / "cc").unlink(missing_ok=True)
        (tmp_path / "cc").symlink_to(tmp_path / name)
        described.append(c_library._describe_compiler(str(tmp_path / "cc")))  # pyright: ignore[reportPrivateUsage]
    assert described[0] != described[1]


def test_the_record_of_a_new_run(toured: Commands) -> None:
    assert storage.read_json(toured.folder / RUN / "origin.json") == {
        "corpus": f"../../{DATA}",
        "initial_weights": "drawn",
    }
