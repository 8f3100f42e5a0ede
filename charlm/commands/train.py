"""`charlm train`: train a model on a corpus."""

from pathlib import Path
from typing import Annotated, Any

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import (
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    SetOption,
    check_folder,
    parse_folder,
    start_time,
)
from charlm.errors import UsageError


def train(
    config: ConfigOption = None,
    data: DataOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", parser=parse_folder, help="The folder of the run; runs/CONFIG-CORPUS if left out."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="MINUTES",
            help="Minutes of training; without --config, settings are chosen for this time, the corpus and the machine"
            " (10 if left out).",
        ),
    ] = None,
    settings: SetOption = None,
    resume: Annotated[
        str,
        typer.Option(
            "--resume",
            metavar="HOW",
            help="An existing run: auto continues it, never stops with an error.",
            autocompletion=completion.words("auto", "never"),
        ),
    ] = "auto",
    init_from: Annotated[
        str | None,
        typer.Option(
            "--init-from",
            metavar="RUN",
            help="Start from the weights of another run (fine-tuning).",
            autocompletion=completion.runs,
        ),
    ] = None,
    device: DeviceOption = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained, how fast and how long, and stop.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on a prepared corpus. The same command again continues an interrupted run."""
    from charlm.settings import parse_override, single_value_layer
    from charlm.workflows.describe_training import describe
    from charlm.workflows.plan_training import plan_training
    from charlm.workflows.train import run_training

    if resume not in ("auto", "never"):
        raise UsageError(f"--resume {resume} is unknown", "give auto or never")
    check_folder(out, "--out")
    budget = [] if minutes is None else [single_value_layer("training.max_minutes", minutes, "--minutes")]
    plan = plan_training(
        config,
        [*budget, *map(parse_override, settings or ())],
        data,
        out,
        device,
        need_corpus=not dry_run,
        init_from=init_from,
        overwrite=overwrite,
    )
    if dry_run:
        description = describe(plan)
        if as_json:
            terminal.print_json(description)
        else:
            terminal.print_table(description)
        return
    result = run_training(plan, resume=resume == "auto", overwrite=overwrite, quiet=as_json, start_time=start_time())
    if result is None:
        return
    _show_result(result, as_json=as_json)


def _show_result(result: dict[str, Any], *, as_json: bool) -> None:
    """Print what training returned, and a note if it learned nothing."""
    from charlm.evaluation.uniform_guessing import describe_worse_than_uniform

    unit = next(name for name in result if name.startswith("best_bits_per_")).removeprefix("best_bits_per_")
    if as_json:
        terminal.print_json(result)
    elif result["already_finished"]:
        print(f"{result['run']} is finished; to continue it, raise training.{result['ended_by']}")
    else:
        print(
            f"{result['run']}: {result['steps']:,} steps, {result['epochs']:.2f} epochs, {result['seconds']:.0f} s;"
            f" best validation {terminal.format_value(result[f'best_bits_per_{unit}'])} bits per {unit}"
        )
    best, uniform = result[f"best_bits_per_{unit}"], result[f"uniform_bits_per_{unit}"]
    if warning := describe_worse_than_uniform(result["run"], best, uniform):
        terminal.note(warning)
