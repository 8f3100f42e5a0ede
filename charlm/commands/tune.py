"""`charlm tune`: how a run may adapt to what it reads."""

from typing import Annotated

import typer

from charlm import terminal
from charlm.commands.options import CheckpointOption, DeviceOption, JsonOption, RunArgument, RunsDataOption


def tune(
    run: RunArgument = None,
    data: RunsDataOption = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Settings of the tuning, TOML.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as max_tokens=10000.")
    ] = None,
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Find, on validation text, the settings of dynamic evaluation, of a cache, and a temperature, for `eval`.

    Its settings: max_tokens, statistics_batches, segment_len, cache_size, and lists of candidates: lr, decay,
    temperature, cache_theta, cache_weight.
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
