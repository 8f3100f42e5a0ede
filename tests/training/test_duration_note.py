"""A long run says soon after its start how long it will take; short runs and runs with a time limit do not."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from charlm.training.logs import duration_note
from charlm.training.logs.duration_note import DurationNote
from charlm.training.run_directory import RunDirectory
from tests.corpora import build_corpus
from tests.training.test_trainer import Recorder, train

SENTENCE = "left on this machine"


def notes(monkeypatch: pytest.MonkeyPatch, seconds_per_step: float, steps: int, num_updates: int) -> list[str]:
    """The notes of the first updates of a run of `steps` steps of 1,000 characters; the first step takes a minute."""
    times: Iterator[float] = (60.0 + seconds_per_step * step for step in count())
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    note = DurationNote()
    found = (note.update(1000, (step + 1) / steps) for step in range(num_updates))
    return [text for text in found if text is not None]


def test_the_time_is_that_of_the_steps_left_without_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = notes(monkeypatch, 0.5, 7205, 100)
    assert text.startswith("about 1 h left on this machine, at 2k characters per second;")
    assert "--set training.max_minutes=10" in text


@pytest.mark.parametrize(("seconds_per_step", "updates_needed"), [(30.0, 2), (0.5, 5), (0.01, 201)])
def test_the_note_comes_after_two_seconds(
    monkeypatch: pytest.MonkeyPatch, seconds_per_step: float, updates_needed: int
) -> None:
    slow = 10**9
    assert not notes(monkeypatch, seconds_per_step, slow, updates_needed - 1)
    assert len(notes(monkeypatch, seconds_per_step, slow, updates_needed + 1)) == 1


def test_a_run_of_minutes_has_no_note(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not notes(monkeypatch, 0.5, 1000, 1000)
    assert notes(monkeypatch, 0.5, 2000, 2000)


@pytest.mark.parametrize(("budgets", "expected"), [({}, 1), ({"max_minutes": 60.0}, 0)])
def test_the_trainer_says_it_once_where_no_time_limit_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budgets: dict[str, float], expected: int
) -> None:
    for limit in ("_MIN_SECONDS", "_LONG"):
        monkeypatch.setattr(duration_note, limit, 0.0)
    corpus = build_corpus(tmp_path / "data", {"a.txt": "abcde fgh, " * 54})
    console = Recorder()
    train(RunDirectory(tmp_path / "run"), corpus, console=console, **budgets)
    assert sum(SENTENCE in note for note in console.notes) == expected
