"""`charlm sample`: a run writes text."""

import sys
from typing import Annotated

import typer

from charlm import terminal
from charlm.commands.options import CheckpointOption, DeviceOption, JsonOption, RunArgument


def sample(
    run: RunArgument = None,
    prompt: Annotated[
        str, typer.Option("--prompt", metavar="TEXT", help="The text to go on from; of a backward model, its end.")
    ] = "",
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", metavar="T", help="softmax(logits / T): 0 is greedy, 1 the model's own distribution."
        ),
    ] = 0.7,
    length: Annotated[int, typer.Option("--length", metavar="N", min=0, help="Characters to write.")] = 500,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1, help="Another seed, another text.")
    ] = 0,
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write text, streaming, character by character. A backward model writes what precedes the prompt: all at once."""
    from charlm.sampling.filters import Temperature

    chosen = Temperature(temperature)
    from charlm.launch.sample import sample_run

    sampled = sample_run(run, checkpoint, prompt, length, chosen, seed, device)
    if as_json:
        arguments = {"prompt": prompt, "temperature": temperature, "seed": seed}
        terminal.print_json({**arguments, "text": "".join(sampled.pieces)})
        return
    for piece in sampled.whole():
        terminal.write(piece)
    sys.stdout.write("\n")
