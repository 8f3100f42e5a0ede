"""What `charlm eval` prints of runs that predict labels or tags."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from charlm import terminal
from charlm.commands.evaluation_output import percent, print_verdict
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.data.corpus import Corpus
    from charlm.evaluation.label_intervals import FigureDifference
    from charlm.workflows.evaluate_labels import LabelEvalRequest, LabelEvalResult

_MAX_LABELS = 40


def refuse_language_options(options: Sequence[str]) -> None:
    """
    Raises:
        UsageError: options for language models were given.
    """
    if options:
        raise UsageError(f"{options[0]} is for language models, and these are labels or tags", "leave it out")


def evaluate_label_runs(
    names: Sequence[str | None],
    checkpoint: str | None,
    request: "LabelEvalRequest",
    confusion: Path | None,
    *,
    is_ensemble: bool,
    as_json: bool,
) -> None:
    """Score one run, an ensemble, or compare two runs, and print the result; write the confusion matrix of one."""
    from charlm.report.confusion import confusion_table, write_confusion
    from charlm.workflows.evaluate_labels import compare_label_runs, score_label_ensemble
    from charlm.workflows.progress import evaluation_bar
    from charlm.workflows.summarize_labels import summarize_labels

    compares = len(names) == 2 and not is_ensemble
    if len(names) > 2 and not is_ensemble:
        raise UsageError("eval takes one run, or two", "compare more runs with `charlm compare`, or add --ensemble")
    if confusion is not None and compares:
        raise UsageError("--confusion is of one run", "name one run, or leave it out")
    with evaluation_bar(quiet=as_json) as on_progress:
        if compares:
            pair = str(names[0]), str(names[1])
            results, differences = compare_label_runs(pair, checkpoint, request, on_progress)
        else:
            results, differences = [score_label_ensemble(names, checkpoint, request, on_progress)], {}
    if confusion is not None:
        (found,) = results
        write_confusion(confusion, confusion_table(found.score.confusion_KL, found.names))
    summaries = [summarize_labels(each) for each in results]
    if as_json:
        by_figure = {name: found and _to_json(found) for name, found in differences.items()}
        terminal.print_json({"runs": summaries, "differences": by_figure} if compares else summaries[0])
        return
    for found, summary in zip(results, summaries, strict=True):
        terminal.print_table(_readable(found, summary))
        print()
    for figure, difference in differences.items():
        print_verdict(figure, difference, [found.run for found in results])


def show_label_baselines(corpus: "Corpus", split: str, *, as_json: bool) -> None:
    """Score simple models of labels or tags on a split, and print each as soon as it is known."""
    from charlm.training.tasks.build import build_decoder
    from charlm.workflows.baselines_of_labels import score_label_baselines
    from charlm.workflows.progress import stage_bar

    assert corpus.labels is not None
    decoder = build_decoder(corpus.task, corpus.labels.names)
    rows: list[dict[str, Any]] = []
    with stage_bar(quiet=as_json) as on_stage:
        for row in score_label_baselines(corpus, split, decoder, on_stage):
            rows.append(row)
            if not as_json:
                print(_baseline_line(row))
    if as_json:
        terminal.print_json({"data": str(corpus.directory), "split": split, "rows": rows})


def _baseline_line(row: dict[str, Any]) -> str:
    if row["accuracy"] is None:
        return f"{row['model']}: {row['description']}"
    figures = f"accuracy {percent(row['accuracy'], row['interval'])} · macro-F1 {percent(row['macro_f1'])}"
    if row["segments_f1"] is not None:
        figures += f" · segments F1 {percent(row['segments_f1'])}"
    if row["words_accuracy"] is not None:
        figures += f" · words {percent(row['words_accuracy'])}"
    bits = "-" if row["bits_per_label"] is None else f"{row['bits_per_label']:.3f}"
    return f"{row['model']}: {figures} · {bits} bits per label · {row['seconds']:.1f} s"


def _to_json(difference: "FigureDifference") -> dict[str, Any]:
    return asdict(difference) | {"significant": difference.is_significant}


def _readable(found: "LabelEvalResult", summary: dict[str, Any]) -> dict[str, Any]:
    """A result for people: figures with their intervals, the labels, and the most frequent mistakes."""
    shown: dict[str, Any] = {"run": found.run, "split": found.split, "documents": summary["documents"]}
    noun: Literal["labels", "tags"] = "labels" if found.per_document else "tags"
    shown[noun] = f"{found.score.labels:,}"
    if found.score.unseen:
        shown[noun] += f", {found.score.unseen:,} of which training has never seen: they count as wrong"
    shown["accuracy"] = percent(found.score.accuracy, summary["intervals"]["accuracy"])
    shown["macro-F1"] = percent(found.score.macro_f1, summary["intervals"].get("macro_f1"))
    if "segments" in summary:
        segments = summary["segments"]
        shown["segments F1"] = percent(segments["f1"], summary["intervals"]["segments"])
        shown["precision, recall"] = f"{percent(segments['precision'])}, {percent(segments['recall'])}"
    if "words" in summary:
        words = summary["words"]
        interval = summary["intervals"]["words"]
        shown["restored words"] = f"{words['words']:,}, of which {percent(words['accuracy'], interval)} are right"
    shown[f"bits per {noun[:-1]}"] = summary["bits_per_label"]
    calibration = summary["calibration"]
    shown["calibration error"] = (
        f"{percent(calibration['error'])}; {percent(calibration['error_at_temperature'])} at the temperature"
        f" {calibration['temperature']:.2f}, fitted on validation examples"
    )
    rows = cast("list[dict[str, Any]]", summary["per_label"])
    frequent = sorted(rows, key=lambda row: -row["count"])[:_MAX_LABELS]
    for row in frequent:
        if row["count"] or row["predicted"]:
            shown[f"  {row['label']}"] = (
                f"{row['count']:>7,} · precision {percent(row['precision']):>6} · recall {percent(row['recall']):>6}"
                f" · F1 {percent(row['f1']):>6}"
            )
    if len(rows) > _MAX_LABELS:
        shown["  others"] = f"{len(rows) - _MAX_LABELS:,}: see --json"
    mistakes = [f"{each['label']} as {each['predicted']} {each['count']:,}" for each in summary["confusions"][:5]]
    shown["mistakes"] = ", ".join(mistakes) if mistakes else "none"
    return shown
