"""`charlm eval`: a run gets its score."""

from typing import Annotated

import typer

from charlm import terminal
from charlm.commands.options import CheckpointOption, DataOption, DeviceOption, JsonOption, RunArgument
from charlm.errors import UsageError


def evaluate(
    run: RunArgument = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="train, valid or test.")] = "test",
    data: DataOption = None,
    streams: Annotated[
        int | None, typer.Option("--streams", metavar="N", min=1, help="Parallel lanes; 1 is the definition.")
    ] = None,
    precision: Annotated[str, typer.Option("--precision", metavar="KIND", help="fp32 or bf16.")] = "fp32",
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Score a run: every token of the split predicted once, in every unit.

    perplexity: exp(nats / tokens). bits per character: nats / ln 2 / characters, where the nats include every end of
    document and the characters are the text's alone. bits per byte: the same over UTF-8 bytes. word: a run of
    non-whitespace.
    """
    from charlm.launch.evaluate import evaluate_run
    from charlm.progress import evaluating

    if precision not in ("fp32", "bf16"):
        raise UsageError(f"--precision {precision} is not known", "give fp32 or bf16")
    with evaluating(quiet=as_json) as on_progress:
        result = evaluate_run(run, checkpoint, data, split, streams, precision, device, on_progress)
    if as_json:
        terminal.print_json(result)
    else:
        terminal.print_table(result)
