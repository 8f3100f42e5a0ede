"""`charlm sample`: a run writes text."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import CheckpointOption, DeviceOption, JsonOption, RunArgument, run_or_bundled
from charlm.errors import UsageError
from charlm.sampling.options import SamplingOptions


def sample(
    run: RunArgument = None,
    prompt: Annotated[
        str, typer.Option("--prompt", metavar="TEXT", help="The text to go on from; of a backward model, its end.")
    ] = "",
    temperature: Annotated[
        str,
        typer.Option(
            "--temperature",
            metavar="T",
            help="softmax(logits / T): 0 is greedy, 1 the model's own distribution; 0.5:1.2 goes from one to the other"
            " over the text.",
        ),
    ] = str(SamplingOptions.temperature),
    length: Annotated[
        int, typer.Option("--length", metavar="N", min=0, max=10**9, help="Characters to write.")
    ] = SamplingOptions.length,
    top_k: Annotated[
        int | None, typer.Option("--top-k", metavar="N", help="Draw from the N most probable ids only.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option("--top-p", metavar="P", help="Draw from the fewest ids that have probability P.")
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option("--min-p", metavar="P", help="Draw from ids at least P times as probable as the first."),
    ] = None,
    typical_p: Annotated[
        float | None,
        typer.Option(
            "--typical-p", metavar="P", help="Draw from ids of probability P whose surprisal is nearest to the entropy."
        ),
    ] = None,
    repetition_penalty: Annotated[
        float | None,
        typer.Option("--repetition-penalty", metavar="F", help="Make what stands among the last ids F times rarer."),
    ] = None,
    frequency_penalty: Annotated[
        float | None,
        typer.Option("--frequency-penalty", metavar="A", help="Lower a logit by A for each time among the last ids."),
    ] = None,
    penalty_window: Annotated[
        int,
        typer.Option(
            "--penalty-window", metavar="N", min=1, max=1_000_000, help="DrawStrategy many ids penalties look back on."
        ),
    ] = SamplingOptions.penalty_window,
    stop: Annotated[
        list[str] | None,
        typer.Option("--stop", metavar="TEXT", help="End before this text would come. May be given several times."),
    ] = None,
    regex: Annotated[
        str | None,
        typer.Option("--regex", metavar="PATTERN", help="Write a text that matches this as a whole (Python's syntax)."),
    ] = None,
    must_contain: Annotated[
        list[str] | None,
        typer.Option("--must-contain", metavar="TEXT", help="Write a text in which this stands. Several times."),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="CHARACTERS", help="Write no others than these characters.")
    ] = None,
    never: Annotated[str, typer.Option("--never", metavar="CHARACTERS", help="Write none of these characters.")] = "",
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, max=65_536, help="Write N texts, side by side.")
    ] = 1,
    best_of: Annotated[
        int,
        typer.Option("--best-of", metavar="N", min=1, max=4096, help="Draw N texts, show the model's favourite."),
    ] = 1,
    beams: Annotated[
        int,
        typer.Option("--beams", metavar="N", min=1, max=4096, help="Search for the most probable text, N at a time."),
    ] = 1,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Step each of several texts alone: the same text whatever --count is."),
    ] = False,
    novelty: Annotated[
        str | None,
        typer.Option(
            "--novelty",
            metavar="DIR",
            help="Tell how much of each text stands verbatim in the training text of a corpus; '' for the run's own.",
            autocompletion=completion.corpora,
        ),
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="A prompt loop that keeps the model's state; /help lists commands.")
    ] = False,
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="KIND",
            help="fp32; bf16; or int8: cells' matrices as whole numbers.",
            autocompletion=completion.words("fp32", "bf16", "int8"),
        ),
    ] = SamplingOptions.precision,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1, help="Another seed, another text.")
    ] = SamplingOptions.seed,
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write text, streaming, character by character. A backward model writes what precedes the prompt: all at once.

    What is done to the model's distribution, in this order: penalties, temperature, top-k, typical-p, top-p, min-p.
    """
    from charlm.formatting import shorten
    from charlm.suggestions.words import MAX_VALUE_LENGTH, format_value
    from charlm.workflows.sample import DrawStrategy, open_session, sample_run, sample_texts
    from charlm.workspace import path_exists

    if run is not None and any(map(str.isspace, run)) and not path_exists(Path(run)):
        cure = f"write --prompt {shorten(shlex.quote(run), MAX_VALUE_LENGTH)} if that is the text to go on from"
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
    run = run_or_bundled(run)
    if interactive:
        from charlm.commands.conversation import run_conversation

        if as_json or strategy != DrawStrategy() or novelty is not None:
            raise UsageError("--interactive is a talk with one text", "leave --json, --count and the like out")
        session, vocab = open_session(run, checkpoint, options.precision, device)
        run_conversation(session, vocab, options)
        return
    if not as_json and strategy == DrawStrategy() and novelty is None:
        for piece in sample_run(run, checkpoint, options, device).with_prompt():
            terminal.write(piece)
        sys.stdout.write("\n")
        return
    texts = sample_texts(run, checkpoint, options, strategy, device, novelty)
    if as_json:
        about = {"prompt": prompt, "temperature": _figure(temperature), "seed": seed}
        terminal.print_json({**about, **texts[0]} if count == 1 else {**about, "texts": texts})
        return
    _print_texts(prompt, texts)


def _figure(temperature: str) -> float | str:
    return temperature if ":" in temperature else float(temperature)


def _print_texts(prompt: str, texts: list[dict[str, Any]]) -> None:
    """A heading before each of several; what is known of a text behind it."""
    for number, each in enumerate(texts):
        if len(texts) > 1:
            print(f"{'' if number == 0 else chr(10)}--- {number + 1} of {len(texts)}")
        terminal.write(prompt + each["text"])
        sys.stdout.write("\n")
        if "nats_per_character" in each:
            terminal.note(f"{each['nats_per_character']:.4f} nats per character")
        if "novelty" in each:
            found = each["novelty"]
            share = "-" if found["share"] is None else f"{found['share']:.1%}"
            longest = terminal.printable(found["longest"].replace("\n", " "))
            terminal.note(
                f"in the training text stand verbatim: {share} of its 10-grams; its longest such passage,"
                f" {len(found['longest'])} characters: {longest}"
            )
