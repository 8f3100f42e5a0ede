"""What each character of a text cost a run.

RUN ──load──> model ─┐
TEXT ──> <eod> text <eod> ──explain──> Explanation
"""

from collections.abc import Callable

from charlm.device import choose_device
from charlm.errors import UsageError
from charlm.evaluation.explain.explanation import Explanation, explain
from charlm.workflows.evaluate import stream_from_text
from charlm.workflows.load_run import load_run

MAX_CHARACTERS = 1_000_000
"""A text to look at: more than a browser shows, and than anybody reads."""


def explain_run(
    run: str, checkpoint: str, text: str, top: int, device: str, on_progress: Callable[[int, int], None]
) -> tuple[Explanation, str]:
    """The explanation, and the directory of the run.

    Args:
        top: alternatives of each token.
        on_progress: gets the tokens predicted since its last call, and their number in all.

    Raises:
        UsageError: there is no such run, or the text is too long.
        DataError: there is no text, or it cannot be spelled.
    """
    if len(text) > MAX_CHARACTERS:
        raise UsageError(
            f"the text is too long to look at: {len(text):,} characters, and at most {MAX_CHARACTERS:,} are shown",
            "give a part of it, or score all of it with `charlm eval --text`",
        )
    loaded, name = load_run(run, checkpoint, device)
    stream = stream_from_text(text, loaded.vocab)
    found = explain(
        loaded.model,
        loaded.vocab,
        text,
        stream,
        direction=loaded.settings.direction,
        top=top,
        device=choose_device(device),
        on_progress=lambda scored: on_progress(scored, stream.num_predictions),
    )
    return found, name
