"""`charlm tune`: find the settings with which a run adapts to the text that it reads."""

from typing import Annotated

import typer

from charlm import terminal
from charlm.commands.options import CheckpointOption, DeviceOption, JsonOption, RunArgument, RunsDataOption


def tune(
    run: RunArgument = None,
    data: RunsDataOption = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Settings of the search, a TOML file.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one setting, such as max_tokens=10000.")
    ] = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Find the settings of dynamic evaluation, of a continuous cache and of the temperature, on validation text.

    `charlm eval` uses them with --dynamic, --cache and --calibrated. Settings of the search: max_tokens,
    statistics_batches, segment_len, cache_size, and lists of candidates: lr, decay, temperature, cache_theta,
    cache_weight.
    """
    from charlm.evaluation.settings import TuneSettings
    from charlm.experiment import read_layers
    from charlm.settings import validate
    from charlm.workflows.progress import stage_bar
    from charlm.workflows.tune import tune_run

    chosen = validate(TuneSettings, read_layers(config, (), settings or ()))
    with stage_bar(quiet=as_json) as on_stage:
        found = tune_run(run, checkpoint, data, chosen, device, on_stage)
    if as_json:
        terminal.print_json(found)
    else:
        terminal.print_table(found)
