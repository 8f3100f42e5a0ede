"""Random walks of a user: prepare, change files, train, fine-tune, tune, score, compare, copy, rename, delete.

Each step is a process of its own. A small model says what should be there: which content each corpus has, what each run
was trained on. It predicts the exit code of each command, and that equal runs have equal scores. A refused command
changes nothing.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.processes import Commands, Ended
from tests.workspaces import snapshot, texts

NUM_STEPS = 10
CONFIG = """
[model.embedding]
size = 4
[training]
batch_size = 2
seq_len = 16
validation_interval = 2
precision = "fp32"
[training.schedule]
type = "constant"
"""
CONTENTS = {
    "first": "".join(texts(1, 500).values()),
    "second": "".join(texts(1, 500).values())[::-1],
}

FILES = st.sampled_from(["one.txt", "two.txt"])
CORPORA = st.sampled_from(["data/c1", "data/c2", "elsewhere/c1"])
RUNS = st.sampled_from(["runs/r1", "runs/r2", "copies/r1"])
VOCABS = st.sampled_from(["char", "byte"])
HIDDEN = st.sampled_from([4, 6])
STEPS = st.sampled_from([2, 4])


@dataclass(frozen=True)
class CorpusKey:
    """What decides a corpus: the name and the content of its file, and the kind of its vocabulary."""

    file: str
    content: str
    vocab: str

    @property
    def fingerprint(self) -> tuple[str, str]:
        return self.content, self.vocab


@dataclass(frozen=True)
class RunKey:
    """What decides the weights of a run."""

    corpus: CorpusKey
    hidden: int
    steps: int
    began_from: "RunKey | None" = None

    @property
    def weights(self) -> tuple[Any, ...]:
        origin = None if self.began_from is None else self.began_from.weights
        return self.corpus.fingerprint, self.hidden, self.steps, origin


class Walk(RuleBasedStateMachine):
    """A user in an empty folder."""

    commands: ClassVar[Commands]
    scores: ClassVar[dict[Any, float]] = {}
    """Weights and text -> bits per character, over all walks."""
    num_walks: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).num_walks += 1
        self.folder = self.commands.folder / f"walk{self.num_walks}"
        self.folder.mkdir()
        self.here = self.commands.within(self.folder)
        self.files: dict[str, str] = {}
        self.corpora: dict[str, CorpusKey] = {}
        self.runs: dict[str, RunKey] = {}
        self.places: dict[str, str] = {}
        """Run -> where its corpus lay when it was trained."""
        self.current_corpus: str | None = None

    @initialize()
    def begin(self) -> None:
        (self.folder / "tiny.toml").write_text(CONFIG, encoding="utf-8")
        for name, content in (("one.txt", "first"), ("two.txt", "second")):
            self._write(name, content)
        self.prepare("one.txt", "data/c1", "char", overwrite=False)
        self.train("data/c1", "runs/r1", 4, 2)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(name=FILES, content=st.sampled_from(sorted(CONTENTS)))
    def change_file(self, name: str, content: str) -> None:
        self._write(name, content)

    @rule(file=FILES, out=CORPORA, vocab=VOCABS, overwrite=st.sampled_from([False, False, True]))
    def prepare(self, file: str, out: str, vocab: str, overwrite: bool) -> None:
        wanted = CorpusKey(file, self.files[file], vocab)
        existing = self.corpora.get(out)
        is_allowed = existing is None or overwrite or existing == wanted
        options = ["--source", "text", "--input", file, "--vocab", vocab, "--out", out, *["--overwrite"] * overwrite]
        self._run(["prepare", *options], {0} if is_allowed else {2})
        if is_allowed:
            self.corpora[out] = wanted
            self.current_corpus = out

    @rule(data=CORPORA, out=CORPORA, vocab=VOCABS)
    def reencode(self, data: str, out: str, vocab: str) -> None:
        source, existing = self.corpora.get(data), self.corpora.get(out)
        if data == out:
            return
        wanted = None if source is None else replace(source, vocab=vocab)
        is_allowed = wanted is not None and existing in (None, wanted)
        self._run(["prepare", "--data", data, "--vocab", vocab, "--out", out], {0} if is_allowed else {2})
        if is_allowed and wanted is not None:
            self.corpora[out] = wanted
            self.current_corpus = out

    @rule(data=CORPORA, out=RUNS, hidden=HIDDEN, steps=STEPS)
    def train(self, data: str, out: str, hidden: int, steps: int) -> None:
        corpus, existing = self.corpora.get(data), self.runs.get(out)
        options = ["--config", "tiny.toml", "--data", data, "--out", out, "--set", f"model.body.hidden_size={hidden}"]
        command = ["train", *options, "--set", f"training.max_steps={steps}"]
        if corpus is None:
            self._run(command, {2})
        elif existing is None:
            self._run(command, {0})
            self._trained(out, RunKey(corpus, hidden, steps), data)
        elif existing.began_from is None and (existing.corpus, existing.hidden) == (corpus, hidden):
            self._run(command, {0})
            self._trained(out, replace(existing, steps=max(steps, existing.steps)), data)
        elif existing.hidden != hidden or existing.corpus.fingerprint != corpus.fingerprint:
            self._run(command, {2, 3})

    @rule(start=RUNS, data=CORPORA, out=RUNS, steps=STEPS)
    def fine_tune(self, start: str, data: str, out: str, steps: int) -> None:
        origin, corpus, existing = self.runs.get(start), self.corpora.get(data), self.runs.get(out)
        if start == out:
            return
        options = ["--init-from", start, "--data", data, "--out", out, "--set", f"training.max_steps={steps}"]
        command = ["train", *options, "--set", "training.schedule.type=constant", "--set", "training.batch_size=2",
                   "--set", "training.seq_len=16", "--set", "training.validation_interval=2",
                   "--set", "training.precision=fp32"]  # fmt: skip
        if corpus is None:
            self._run(command, {2})
        elif origin is None:
            self._run(command, {2} if existing is None else {0, 2, 3})
            if existing is not None:
                self._read_steps(out)
        elif origin.corpus.vocab != corpus.vocab or (
            corpus.vocab == "char" and origin.corpus.content != corpus.content
        ):
            self._run(command, {2, 3})
        else:
            wanted = RunKey(corpus, origin.hidden, steps, origin)
            if existing is None:
                self._run(command, {0})
                self._trained(out, wanted, data)
            elif existing.began_from is not None and replace(existing, steps=0) == replace(wanted, steps=0):
                self._run(command, {0})
                self._trained(out, replace(existing, steps=max(steps, existing.steps)), data)
            elif existing.began_from is None or existing.began_from.weights != origin.weights:
                self._run(command, {2, 3})

    @rule(run=RUNS)
    def tune(self, run: str) -> None:
        self._run(["tune", run, "--set", "max_tokens=200"], self._codes_with_corpus(run))

    @rule(run=RUNS, data=st.one_of(st.none(), CORPORA))
    def score(self, run: str, data: str | None) -> None:
        key = self.runs.get(run)
        corpus = None if data is None else self.corpora.get(data)
        if data is None:
            allowed = self._codes_with_corpus(run)
            corpus = None if key is None else key.corpus
        elif key is None or corpus is None:
            allowed = {2}
        elif key.corpus.vocab != corpus.vocab or (corpus.vocab == "char" and key.corpus.content != corpus.content):
            allowed = {3}
        else:
            allowed = {0}
        ended = self._run(["eval", run, *(["--data", data] if data else []), "--json"], allowed)
        if ended.code == 0 and key is not None and corpus is not None:
            bits = json.loads(ended.stdout)["bits_per_character"]
            known = self.scores.setdefault((key.weights, corpus.fingerprint), bits)
            assert bits == pytest.approx(known, rel=1e-6), (key, corpus)

    @rule(run=RUNS)
    def sample(self, run: str) -> None:
        self._run(["sample", run, "--length", "5"], {0} if run in self.runs else {2})

    @rule(first=RUNS, second=RUNS)
    def compare(self, first: str, second: str) -> None:
        codes = self._codes_with_corpus(first) | self._codes_with_corpus(second)
        if codes == {0}:
            contents = {self.runs[run].corpus.content for run in (first, second)}
            codes = {0} if len(contents) == 1 else {3}
        elif 0 in codes:
            codes = codes - {0}
        self._run(["compare", first, second], codes)

    @rule(source=st.one_of(CORPORA, RUNS), destination=st.one_of(CORPORA, RUNS), moves=st.booleans())
    def copy_or_rename(self, source: str, destination: str, moves: bool) -> None:
        for table in (self.corpora, self.runs):
            if (
                source in table
                and destination not in (*self.corpora, *self.runs)
                and self._same_kind(source, destination)
            ):
                (self.folder / destination).parent.mkdir(exist_ok=True)
                shutil.copytree(self.folder / source, self.folder / destination)
                table[destination] = table[source]  # type: ignore[assignment]
                if source in self.places:
                    self.places[destination] = self.places[source]
                if moves:
                    self._remove(source)
                return

    @rule(name=st.one_of(CORPORA, RUNS))
    def delete(self, name: str) -> None:
        if name in self.corpora or name in self.runs:
            self._remove(name)

    def _same_kind(self, source: str, target: str) -> bool:
        return ("/c" in source) == ("/c" in target) and source.count("/r") == target.count("/r")

    def _write(self, name: str, content: str) -> None:
        self.files[name] = content
        (self.folder / name).write_text(CONTENTS[content], encoding="utf-8")

    def _remove(self, name: str) -> None:
        shutil.rmtree(self.folder / name)
        for table in (self.corpora, self.runs, self.places):
            table.pop(name, None)

    def _trained(self, run: str, key: RunKey, data: str) -> None:
        self.runs[run] = key
        self.places.setdefault(run, data)
        self._read_steps(run)

    def _read_steps(self, run: str) -> None:
        steps = json.loads((self.folder / run / "last.json").read_text())["step"]
        assert steps == self.runs[run].steps or self.runs[run].began_from is not None
        self.runs[run] = replace(self.runs[run], steps=steps)

    def _codes_with_corpus(self, run: str) -> set[int]:
        """The exit codes of a command that needs the run and its corpus, which it must find by itself."""
        key = self.runs.get(run)
        if key is None:
            return {2}
        place = self.places[run]
        for directory in (place, f"data/{Path(place).name}", self.current_corpus):
            corpus = None if directory is None else self.corpora.get(directory)
            if corpus is not None and corpus.fingerprint == key.corpus.fingerprint:
                return {0}
        return {2, 3}

    def _run(self, command: list[str], allowed: set[int]) -> Ended:
        """Run a command, and expect one of the exit codes; a refused one changes nothing."""
        before = snapshot(self.folder)
        ended = self.here(*command)
        assert ended.code in allowed, f"charlm {' '.join(command)}: {ended}; expected {allowed}"
        assert "Traceback" not in ended.stderr, ended
        assert "a bug in charlm" not in ended.stderr, ended
        if ended.code != 0:
            assert ended.error.startswith("charlm: error: "), ended
            assert snapshot(self.folder) == before, command
        return ended


@pytest.mark.parametrize("walks", [3, pytest.param(300, marks=pytest.mark.faults)])
def test_walks(commands: Commands, walks: int) -> None:
    Walk.commands = commands
    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=walks,
            stateful_step_count=NUM_STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
