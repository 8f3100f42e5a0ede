"""The surprisal of each character of a text under a run's model.

RUN ──load──> model ──────┐
TEXT ──> <eod> text <eod> ┴──explain──> Explanation ──> Drawing
"""

from collections.abc import Callable

from charlm.device import choose_device
from charlm.errors import UsageError
from charlm.evaluation.explain.draw_surprisals import SurprisalDrawing
from charlm.evaluation.explain.drawing import Drawing
from charlm.evaluation.explain.explanation import explain
from charlm.workflows.evaluate import stream_from_text
from charlm.workflows.load_run import load_run

MAX_CHARACTERS = 1_000_000
"""Longer texts are too large for a browser."""


def explain_run(
    run: str, checkpoint: str | None, text: str, top: int, device: str, on_progress: Callable[[int, int], None]
) -> tuple[Drawing, str]:
    """Return what is to be shown, and the name of the run.

    Args:
        top: the number of alternatives for each token.
        on_progress: called with the tokens predicted since the last call, and their total.

    Raises:
        UsageError: there is no such run, or the text is too long.
        DataError: the text is empty, or cannot be spelled.
    """
    if len(text) > MAX_CHARACTERS:
        raise UsageError(
            f"the text has {len(text):,} characters; at most {MAX_CHARACTERS:,} can be explained",
            "give a part of it, or score it with `charlm eval --text`",
        )
    loaded, name = load_run(run, checkpoint, device)
    stream = stream_from_text(text, loaded.vocab)
    found = explain(
        loaded.model,
        loaded.vocab,
        text,
        stream,
        direction=loaded.settings.text_direction,
        top=top,
        device=choose_device(device),
        on_progress=lambda scored: on_progress(scored, stream.num_predictions),
    )
    return SurprisalDrawing(found), name
