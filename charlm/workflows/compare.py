"""Runs, and baselines if asked for, scored on the same text: the rows of one table.

RUN ... ──score_run──> results ──check_same_text──> rows, rows of baselines ──with_ratios──> table
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.data.corpus import Corpus
from charlm.errors import DataError, UsageError
from charlm.evaluation.baselines.run import run_baselines
from charlm.evaluation.baselines.settings import BaselineSettings
from charlm.formatting import short_names
from charlm.training.logs import metrics_file
from charlm.training.run_directory import RunDirectory, run_of_checkpoint
from charlm.workflows.evaluate import (
    EvalRequest,
    EvalResult,
    OnProgress,
    check_same_text,
    score_run,
    summarize_result,
    warn_of_worse_than_uniform,
)
from charlm.workflows.load_run import open_training_corpus

COLUMNS = (
    "model",
    "parameters",
    "characters_seen",
    "seconds",
    "bits_per_character",
    "low",
    "high",
    "bits_per_byte",
    "ratio",
    "description",
)
Row = dict[str, Any]


def compare_models(
    runs: Sequence[str],
    checkpoint: str | None,
    request: EvalRequest,
    baselines: BaselineSettings | None,
    on_progress: OnProgress,
    on_baseline: Callable[[str, int, int], None],
) -> list[Row]:
    """Return a row for each run, then one for each baseline on the corpus of the first run.

    `ratio` is the row's bits per character divided by those of the best row.

    Raises:
        CharlmError: the errors of `eval` and `baseline`.
    """
    results = [score_run(run, checkpoint, request, on_progress) for run in runs]
    check_same_text(results)
    names = short_names([Path(each.run) for each in results])
    rows = [{**_row(each, request), "model": name} for each, name in zip(results, names, strict=True)]
    if baselines is not None and (corpus := results[0].corpus) is not None:
        rows += baseline_rows(corpus, request.split, baselines, on_baseline)
    return with_ratios(rows)


def with_ratios(rows: list[Row]) -> list[Row]:
    """Add to each row the ratio of its bits per character to the best row's."""
    best = min((row["bits_per_character"] for row in rows if row["bits_per_character"] is not None), default=None)

    def ratio(bits: float | None) -> float | None:
        return bits / best if bits is not None and best else None

    return [{**row, "ratio": ratio(row["bits_per_character"])} for row in rows]


def baseline_rows(
    corpus: Corpus, split: str, settings: BaselineSettings, on_progress: Callable[[str, int, int], None]
) -> list[Row]:
    """Return a row for each baseline. `seconds` is its time on this machine; it saw the training text once or never."""
    seen = corpus.open("train").count("characters")
    return [
        {
            "model": result.name,
            "description": result.description,
            "parameters": None,
            "characters_seen": seen if result.uses_training_text else 0,
            "seconds": result.seconds,
            **result.score.to_json(),
            "low": None,
            "high": None,
        }
        for result in run_baselines(corpus, split, settings, on_progress=on_progress)
    ]


def _row(found: EvalResult, request: EvalRequest) -> Row:
    described = summarize_result(found, request)
    low, high = described["interval"] or (None, None)
    return {
        "parameters": found.parameters,
        **_training_cost(found),
        **{name: described[name] for name in ("tokens", "characters", "words", "bytes", "nats")},
        **{name: described[name] for name in ("bits_per_character", "bits_per_byte", "perplexity")},
        "warning": warn_of_worse_than_uniform(described),
        "low": low,
        "high": high,
    }


def _training_cost(found: EvalResult) -> Row:
    """The characters that the checkpoint was trained on, and the seconds of training."""
    try:
        seconds = float(storage.read_json(found.checkpoint / "training.json")["seconds"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        seconds = None  # a checkpoint that was copied without its training state
    return {"characters_seen": _characters_seen(found), "seconds": seconds}


def _characters_seen(found: EvalResult) -> int | None:
    """Count the trained tokens in characters of the corpus they come from, which may be another than the scored one."""
    trained_on = found.trained_on
    tokens, step = trained_on.get("tokens"), trained_on.get("step")
    if not isinstance(tokens, int):
        return None
    corpus = found.corpus
    try:
        if corpus is None or corpus.fingerprint != trained_on["fingerprint"]:
            corpus = open_training_corpus(found.checkpoint, trained_on)
    except (UsageError, DataError):  # not here, but the log of the run has counted them too
        root = run_of_checkpoint(found.checkpoint)
        entries = [] if root is None else metrics_file.read_log(RunDirectory(root).metrics_path)
        counted = [entry.characters for entry in entries if entry.step == step and entry.characters is not None]
        return round(counted[-1]) if counted else None
    return round(tokens / corpus.open("train").tokens_per_character)
