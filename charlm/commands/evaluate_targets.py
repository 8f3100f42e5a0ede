"""What `charlm eval` prints of models that write a text for each text."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from charlm import terminal
from charlm.commands.evaluation_output import percent, print_verdict
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.workflows.evaluate_targets import TargetEvalRequest, TargetEvalResult

_SHOWN_MISTAKES = 5


def refuse_other_options(options: Sequence[str]) -> None:
    """
    Raises:
        UsageError: options for other models were given.
    """
    if options:
        raise UsageError(
            f"{options[0]} is for language models or for labels, and these models write a text for a text",
            "leave it out",
        )


def evaluate_target_runs(
    names: Sequence[str | None],
    checkpoint: str | None,
    request: "TargetEvalRequest",
    *,
    is_ensemble: bool,
    as_json: bool,
) -> None:
    """Score one run, an ensemble, or compare two runs, and print the result."""
    from charlm.workflows.evaluate_targets import compare_transducers, score_transducers, summarize_targets
    from charlm.workflows.progress import evaluation_bar

    if len(names) > 2 and not is_ensemble:
        raise UsageError("eval takes one run, or two", "add --ensemble to score them as one model")
    groups = [names] if is_ensemble else [[name] for name in names]
    with evaluation_bar(quiet=as_json) as on_progress:
        results = [score_transducers(group, checkpoint, request, on_progress) for group in groups]
    difference = compare_transducers(*results) if len(results) == 2 else None
    summaries = [summarize_targets(each) for each in results]
    if as_json:
        shown = None if difference is None else asdict(difference) | {"significant": difference.is_significant}
        terminal.print_json({"runs": summaries, "difference": shown} if len(results) == 2 else summaries[0])
        return
    for found, summary in zip(results, summaries, strict=True):
        terminal.print_table(_readable(found, summary))
        print()
    if len(results) == 2:
        print_verdict("exact match", difference, [found.run for found in results], unit="sources")


def _readable(found: "TargetEvalResult", summary: dict[str, Any]) -> dict[str, Any]:
    """A result for people: figures with their intervals, and the first mistakes."""
    score, intervals = found.score, summary["intervals"]
    shown: dict[str, Any] = {"run": found.run, "split": found.split, "sources": f"{score.sources:,}"}
    shown["exact match"] = percent(score.exact_match, intervals["exact_match"], unit="sources")
    if found.has_weights:
        shown["by weight"] = percent(score.weighted_exact_match)
    shown["wrong texts"] = f"{score.sources - score.correct:,}, {percent(score.error_rate)}"
    shown["symbol error rate"] = percent(score.symbol_error_rate, intervals["symbol_error_rate"], unit="sources")
    if score.words != score.symbols:
        shown["word error rate"] = percent(score.word_error_rate, intervals["word_error_rate"], unit="sources")
    shown["bits per character"] = summary["bits_per_character"]
    for mistake in summary["mistakes"][:_SHOWN_MISTAKES]:
        shown[f"  {mistake['source']}"] = f"{mistake['written']} instead of {' or '.join(mistake['right'])}"
    return shown
