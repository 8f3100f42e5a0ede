"""`charlm sample`: let a run write text."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.drawn_texts import print_texts, print_texts_json
from charlm.commands.options import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    LabelOption,
    RunArgument,
    given_parameters,
    run_or_bundled,
)
from charlm.errors import UsageError
from charlm.sampling.options import SamplingOptions


def sample(
    context: typer.Context,
    run: RunArgument = None,
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt", metavar="TEXT", help="The text to continue; a backward model writes what comes before it."
        ),
    ] = "",
    label: LabelOption = None,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="TEXT", help="The text that a run of --task transduce is given."),
    ] = None,
    temperature: Annotated[
        str,
        typer.Option(
            "--temperature",
            metavar="T",
            help="softmax(logits / T): 0 is greedy, 1 is the model's own distribution; 0.5:1.2 moves from the first"
            " to the second over the text.",
        ),
    ] = str(SamplingOptions.temperature),
    length: Annotated[
        int, typer.Option("--length", metavar="N", min=0, max=10**9, help="Number of characters to write.")
    ] = SamplingOptions.length,
    top_k: Annotated[
        int | None, typer.Option("--top-k", metavar="N", help="Draw from the N most probable tokens only.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option("--top-p", metavar="P", help="Draw from the fewest tokens whose probabilities sum to P."),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            "--min-p", metavar="P", help="Draw from tokens at least P times as probable as the most probable one."
        ),
    ] = None,
    typical_p: Annotated[
        float | None,
        typer.Option(
            "--typical-p",
            metavar="P",
            help="Draw from tokens of total probability P whose surprisal is nearest to the entropy.",
        ),
    ] = None,
    repetition_penalty: Annotated[
        float | None,
        typer.Option(
            "--repetition-penalty",
            metavar="F",
            help="Divide positive logits of the last tokens by F, and multiply negative ones.",
        ),
    ] = None,
    frequency_penalty: Annotated[
        float | None,
        typer.Option(
            "--frequency-penalty",
            metavar="A",
            help="Lower a token's logit by A for each of its occurrences among the last ones.",
        ),
    ] = None,
    penalty_window: Annotated[
        int,
        typer.Option(
            "--penalty-window",
            metavar="N",
            min=1,
            max=1_000_000,
            help="Number of last tokens that the penalties look at.",
        ),
    ] = SamplingOptions.penalty_window,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            "--stop", metavar="TEXT", help="Stop before this text would be written. May be given several times."
        ),
    ] = None,
    regex: Annotated[
        str | None,
        typer.Option(
            "--regex",
            metavar="PATTERN",
            help="Write a text that matches this regular expression as a whole (Python's syntax).",
        ),
    ] = None,
    must_contain: Annotated[
        list[str] | None,
        typer.Option(
            "--must-contain", metavar="TEXT", help="Write a text that contains this one. May be given several times."
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="CHARACTERS", help="Write only these characters.")
    ] = None,
    never: Annotated[str, typer.Option("--never", metavar="CHARACTERS", help="Write none of these characters.")] = "",
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, max=65_536, help="Write N texts in parallel.")
    ] = 1,
    best_of: Annotated[
        int,
        typer.Option("--best-of", metavar="N", min=1, max=4096, help="Draw N texts and show the most probable one."),
    ] = 1,
    beams: Annotated[
        int,
        typer.Option(
            "--beams", metavar="N", min=1, max=4096, help="Search for the most probable text with a beam of N."
        ),
    ] = 1,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Compute each text by itself, so that it does not depend on --count."),
    ] = False,
    novelty: Annotated[
        str | None,
        typer.Option(
            "--novelty",
            metavar="DIR",
            help="Measure how much of each text occurs verbatim in the training text of a corpus; '' means the run's.",
            autocompletion=completion.corpora,
        ),
    ] = None,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive", help="Start a prompt loop that keeps the model's state; /help lists its commands."
        ),
    ] = False,
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="KIND",
            help="fp32, bf16, or int8 (the matrices of the cells as 8-bit integers).",
            autocompletion=completion.words("fp32", "bf16", "int8"),
        ),
    ] = SamplingOptions.precision,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1, help="The seed of the random draws.")
    ] = SamplingOptions.seed,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write text, character by character. A backward model writes what precedes the prompt and shows it at the end.

    The filters of the model's distribution apply in this order: penalties, temperature, top-k, typical-p, top-p, min-p.
    """
    from charlm.formatting import shorten
    from charlm.suggestions.words import MAX_VALUE_LENGTH, format_value
    from charlm.workflows.given import Given
    from charlm.workflows.sample import DrawStrategy, open_session, sample_run, sample_texts
    from charlm.workspace import path_exists

    if run is not None and any(map(str.isspace, run)) and not path_exists(Path(run)):
        cure = f"write --prompt {shorten(shlex.quote(run), MAX_VALUE_LENGTH)} if that is the text to continue"
        raise UsageError(f"there is no run {format_value(run)}", cure)
    options = SamplingOptions(
        prompt=prompt,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        typical_p=typical_p,
        repetition_penalty=repetition_penalty,
        frequency_penalty=frequency_penalty,
        penalty_window=penalty_window,
        stop=stop or (),
        regex=regex,
        must_contain=must_contain or (),
        only=only,
        never=never,
        seed=seed,
        precision=precision,
    )
    strategy = DrawStrategy(count, best_of, beams, deterministic)
    strategy.check_options(given_parameters(context))
    run = run_or_bundled(run)
    given = Given(tuple(label or ()), source)
    if interactive:
        from charlm.commands.conversation import run_conversation

        if as_json or strategy != DrawStrategy() or novelty is not None:
            raise UsageError("--interactive works on one text, without files", "leave --json, --count and the like out")
        session, vocab, single_document = open_session(run, checkpoint, options.precision, device, given)
        for line in strategy.describe_no_effect(options, vocab.size):
            terminal.note(line)
        run_conversation(session, vocab, options, single_document=single_document)
        return
    if not as_json and strategy == DrawStrategy() and novelty is None:
        generated = sample_run(run, checkpoint, options, device, given)
        for line in generated.notes:
            terminal.note(line)
        for piece in generated.with_prompt():
            terminal.write(piece)
        sys.stdout.write("\n")
        return
    drawn = sample_texts(run, checkpoint, options, strategy, device, novelty, given)
    if as_json:
        searched = beams > 1  # nothing is drawn then
        about = {
            "prompt": prompt,
            **({"label": label[0] if len(label) == 1 else label} if label else {}),
            **({} if source is None else {"source": source}),
            "temperature": None if searched else _figure(temperature),
            "seed": None if searched else seed,
        }
        print_texts_json(about, drawn, is_list=count != 1)
    else:
        print_texts(prompt, drawn)


def _figure(temperature: str) -> float | str:
    return temperature if ":" in temperature else float(temperature)
