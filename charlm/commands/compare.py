"""`charlm baseline` and `charlm compare`: what simple models pay, and all in one table."""

from pathlib import Path
from typing import Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import CheckpointOption, DeviceOption, JsonOption, RunsDataOption, SplitOption, check_file
from charlm.errors import UsageError

BaselinesOption = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Which baselines, TOML: baselines = [...].")
]
SetBaselinesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="The same here, such as 'baselines=[{type=\"xz\"}]'."),
]
CsvOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table there too.")]
PngOption = Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw it as bars (needs matplotlib).")]


def baseline(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]", help="A prepared corpus; the last if left out.", autocompletion=completion.corpora
        ),
    ] = None,
    split: SplitOption = "test",
    config: BaselinesOption = None,
    settings: SetBaselinesOption = None,
    csv: CsvOption = None,
    png: PngOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score simple models on a corpus: uniform, unigram, Kneser-Ney n-grams, PPMd, xz, zstd, bz2.

    Compressors are given the text alone, and after the training text: then they pay for what it does not tell. Which
    baselines: --set 'baselines=[{type="kneser_ney", order=6}, {type="xz"}]'.
    """
    from charlm import workspace
    from charlm.data.corpus import open_corpus
    from charlm.evaluation.baselines.settings import BaselineSettings
    from charlm.experiment import read_layers
    from charlm.settings import validate
    from charlm.workflows.compare import baseline_rows, with_ratios
    from charlm.workflows.progress import stage_bar

    chosen = validate(BaselineSettings, read_layers(config, (), settings or ()))
    _check_outputs(csv, png)
    corpus = open_corpus(workspace.find_data(data))
    _note_training_text(split)
    with stage_bar(quiet=as_json) as on_stage:
        rows = with_ratios(baseline_rows(corpus, split, chosen, on_stage))
    _show(rows, {"data": str(corpus.directory), "split": split}, csv, png, as_json=as_json)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Runs, by name or directory.", autocompletion=completion.runs),
    ],
    baselines: Annotated[bool, typer.Option("--baselines", help="The baselines of `charlm baseline` too.")] = False,
    split: SplitOption = "test",
    data: RunsDataOption = None,
    config: BaselinesOption = None,
    settings: SetBaselinesOption = None,
    checkpoint: CheckpointOption = "best",
    csv: CsvOption = None,
    png: PngOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Put runs into one table: parameters, characters seen, time, bits per character with interval, ratio to the best.

    --config and --set choose the baselines, as for `charlm baseline`.
    """
    from charlm.evaluation.baselines.settings import BaselineSettings
    from charlm.experiment import read_layers
    from charlm.settings import validate
    from charlm.workflows.compare import compare_models
    from charlm.workflows.evaluate import EvalRequest
    from charlm.workflows.progress import evaluation_bar, stage_bar
    from charlm.workspace import drop_current_file

    if not baselines and (config or settings):
        raise UsageError("--config and --set choose the baselines, and none are asked for", "add --baselines")
    chosen = validate(BaselineSettings, read_layers(config, (), settings or ())) if baselines else None
    _check_outputs(csv, png)
    if baselines:
        _note_training_text(split)
    request = EvalRequest(split, data, None, None, "fp32", device)
    with evaluation_bar(quiet=as_json) as on_progress, stage_bar(quiet=as_json) as on_stage:
        rows = compare_models(drop_current_file(runs), checkpoint, request, chosen, on_progress, on_stage)
    _show(rows, {"split": split}, csv, png, as_json=as_json)


def _check_outputs(csv: Path | None, png: Path | None) -> None:
    """Before the work."""
    from charlm.report.figure import check_matplotlib

    check_file(csv, "--csv")
    check_file(png, "--png")
    if png is not None:
        check_matplotlib()


def _note_training_text(split: str) -> None:
    if split == "train":
        terminal.note("n-grams and compressors have learned from this very text: their figures say nothing here")


def _show(
    rows: "list[dict[str, object]]", about: dict[str, str], csv: Path | None, png: Path | None, *, as_json: bool
) -> None:
    from charlm.report.comparison import to_markdown, write_bars, write_csv
    from charlm.workflows.compare import COLUMNS

    if csv is not None:
        write_csv(csv, rows, COLUMNS)
    if png is not None:
        write_bars(png, rows)
    if as_json:
        terminal.print_json({**about, "rows": rows})
    else:
        print(terminal.printable(to_markdown(rows)))
        for row in rows:
            if row["bits_per_character"] is None and row.get("description"):
                terminal.note(f"{row['model']}: {row['description']}")
