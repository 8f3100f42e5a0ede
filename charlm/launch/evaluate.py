"""The score of a run."""

from collections.abc import Callable
from typing import Any

from charlm.device import Precision, choose_device
from charlm.evaluation.evaluate import evaluate
from charlm.launch.runs import corpus_of, load_run


def evaluate_run(
    run: str | None,
    checkpoint: str,
    data: str | None,
    split: str,
    streams: int | None,
    precision: Precision,
    device: str,
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """The score of a run on a split of its corpus, in every unit. `interval` is null: it is not computed yet."""
    loaded, name = load_run(run, checkpoint, device)
    corpus = corpus_of(loaded, data)
    stream = corpus.open(split).in_direction(loaded.settings.direction)
    score = evaluate(
        loaded.model,
        stream,
        streams=streams,
        device=choose_device(device),
        precision=precision,
        on_progress=lambda scored: on_progress(scored, stream.num_predictions),
    )
    return {"run": name, "split": split, **score.to_json(), "interval": None}
