"""What `charlm eval` prints and writes of language models, and how it prints the figures of other models."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from charlm import terminal

if TYPE_CHECKING:
    from charlm.evaluation.interval import BitsDifference
    from charlm.evaluation.label_intervals import FigureDifference
    from charlm.workflows.evaluate import EvalResult

METHOD_OPTIONS = {
    "dynamic": "--dynamic",
    "cache": "--cache",
    "temperature": "--calibrated",
    "mix": "--mix",
    "recall": "--mix-online",
}
"""Method of a further score -> its option."""


def note_seen_text(found: "list[EvalResult]") -> None:
    """Say which of the scores are of text that is not new."""
    for result in found:
        warnings = {None: result.warning, **{name: each["warning"] for name, each in result.adapted_scores.items()}}
        for method, warning in warnings.items():
            if warning is not None:
                terminal.note(f"{result.run}{f', {METHOD_OPTIONS[method]}' if method else ''}: {warning}")


def note_worse_than_uniform(results: "list[dict[str, object]]") -> None:
    from charlm.workflows.evaluate import warn_of_worse_than_uniform

    for warning in filter(None, map(warn_of_worse_than_uniform, results)):
        terminal.note(warning)


def readable_result(result: "dict[str, object]") -> "dict[str, object]":
    """A result for people: the interval and its kind in one line."""
    bounds, resampled = result["interval"], result["resampled"]
    hidden = ("resampled", "uniform_bits_per_character", "parts")
    shown = {name: value for name, value in result.items() if name not in hidden}
    if isinstance(bounds, list):
        low, high = cast("list[float]", bounds)
        shown["interval"] = (
            f"{low:.4f} to {high:.4f} bits per character (95 %, {resampled}; without the variance between seeds)"
        )
    else:
        shown["interval"] = f"unknown: too little text ({resampled})"
    for part, bits in cast("dict[str, float | None]", result.get("parts", {})).items():
        shown[f"{part} alone"] = "-" if bits is None else f"{bits:.4f} bits per character"
    for method in METHOD_OPTIONS:
        if isinstance(result.get(method), dict):
            adapted = cast("dict[str, object]", result[method])
            shown[method] = {name: adapted[name] for name in ("bits_per_character", "bits_per_byte", "settings")}
    if isinstance(result.get("proved"), dict):
        proved = cast("dict[str, object]", result["proved"])
        shown["proved"] = {name: proved[name] for name in ("bits_per_character", "bits_per_byte", "lanes")}
    return shown


def write_tables(found: "EvalResult", split: str, per_document: Path | None, per_token: Path | None) -> None:
    from charlm.data.documents import read_parts
    from charlm.evaluation.tables import write_documents, write_tokens

    if per_document is not None:
        parts = read_parts(found.corpus.directory / "documents", split) if found.corpus else None
        names = ((each.document.id, each.part, each.document.title) for each in parts) if parts else [("text", 0, "")]
        write_documents(per_document, found.stream, names, found.nats_P, found.first_token)
    if per_token is not None:
        write_tokens(per_token, found.stream, found.vocab, found.nats_P, found.first_token)


def print_comparison(results: "list[dict[str, object]]", difference: "BitsDifference | None", *, as_json: bool) -> None:
    if as_json:
        about = None
        if difference is not None:
            about = asdict(difference) | {"margin": difference.margin, "significant": difference.is_significant}
        terminal.print_json({"runs": results, "difference": about})
        return
    for result in results:
        terminal.print_table(readable_result(result))
        print()
    first, second = (str(result["run"]) for result in results)
    if difference is None:
        print("there are too few documents to test whether the difference is more than chance")
        return
    if difference.bits == 0:
        print(f"{first} and {second} have the same loss")
        return
    better, worse = (first, second) if difference.bits < 0 else (second, first)
    verdict = "significant at 95 %" if difference.is_significant else "not significant at 95 %"
    print(
        f"{better} is better than {worse} by {abs(difference.bits):.4f} +- {difference.margin:.4f} bits per character,"
        f" {verdict} (without the variance between seeds)"
    )


def percent(value: float | None, interval: Sequence[float] | None = None, *, unit: str = "documents") -> str:
    """Return a proportion in percent, with its interval.

    Args:
        unit: what the interval is over.
    """
    if value is None:
        return "-"
    if interval is None:
        return f"{100 * value:.2f} %"
    return f"{100 * value:.2f} % ({100 * interval[0]:.2f} to {100 * interval[1]:.2f}; 95 %, over {unit})"


def print_verdict(
    figure: str, difference: "FigureDifference | None", names: Sequence[str], *, unit: str = "documents"
) -> None:
    """Say which of two models is better by a figure that is a proportion.

    Args:
        unit: what the interval is over.
    """
    if difference is None:
        print(f"{figure}: there are too few {unit} to test whether the difference is more than chance")
        return
    if difference.difference == 0:
        print(f"{figure}: no difference")
        return
    better, worse = names if difference.difference > 0 else reversed(names)
    verdict = "significant at 95 %" if difference.is_significant else "not significant at 95 %"
    print(
        f"{figure}: {better} is better than {worse} by {100 * abs(difference.difference):.2f} points"
        f" ({100 * difference.low:.2f} to {100 * difference.high:.2f}), {verdict}"
        " (without the variance between seeds)"
    )
