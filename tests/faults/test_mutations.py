"""Mutated checkpoints, stores and vocabularies are refused or harmless; none is executed and none crashes charlm."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import tests.loaders
from tests.processes import Commands

OTHER_VOCABULARIES = ("word", "ngram", "sentencepiece", "symbols")


@pytest.fixture
def prepared(workspace: Commands) -> Path:
    """A run, its corpus, and that corpus with other vocabularies."""
    for vocab in OTHER_VOCABULARIES:
        sizes = ("--set", "corpus.vocab.vocab_size=512") if vocab == "sentencepiece" else ()
        workspace.succeed("prepare", "--data", "texts", "--vocab", vocab, *sizes)
    return workspace.folder


@pytest.mark.parametrize(("first", "count"), [(0, 100), pytest.param(100, 10_000, marks=pytest.mark.faults)])
def test_mutations(prepared: Path, first: int, count: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", tests.loaders.__name__, str(prepared), str(first), str(count)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    asked, verdicts = lines[::2], [line["verdict"] for line in lines[1::2]]
    assert ended.returncode == 0, (asked[-1:], ended.returncode, ended.stderr[-2_000:])
    wrong = [
        f"seed {mutation['seed']}: {mutation['what']}{', signed' * mutation['signed']}: {verdict}"
        for mutation, verdict in zip(asked, verdicts, strict=True)
        if verdict not in ("refused", "valid")
    ]
    print(f"{count} mutations: {dict(Counter(verdicts))}")  # noqa: T201 - the figure, with -s
    assert len(verdicts) == count
    again = f"python -m {tests.loaders.__name__} {prepared} SEED 1"
    assert not wrong, "\n".join([*wrong, f"again: {again}"])
    assert Counter(verdicts)["refused"] > count / 2
