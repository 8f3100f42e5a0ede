"""`charlm eval`: score a run, or compare two."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.evaluate_labels import evaluate_label_runs, refuse_language_options
from charlm.commands.evaluate_targets import evaluate_target_runs, refuse_other_options
from charlm.commands.evaluation_output import (
    METHOD_OPTIONS,
    note_seen_text,
    note_worse_than_uniform,
    print_comparison,
    readable_result,
    write_tables,
)
from charlm.commands.options import (
    BeamsOption,
    CheckpointOption,
    DeviceOption,
    JsonOption,
    LabelOption,
    LengthPenaltyOption,
    RunsDataOption,
    SplitOption,
    check_file,
    given_parameters,
    read_text,
    run_or_bundled,
)
from charlm.errors import UsageError


def evaluate(
    context: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="A run (the last one if left out), two to compare, or several with --ensemble.",
            autocompletion=completion.runs,
        ),
    ] = None,
    split: SplitOption = "test",
    data: RunsDataOption = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="FILE", help="Score a text file instead of a corpus; - reads standard input."),
    ] = None,
    label: LabelOption = None,
    classify: Annotated[
        bool,
        typer.Option(
            "--classify", help="Of a run of --task generate: how often Bayes' rule finds the label of each document."
        ),
    ] = False,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Score the runs as one model that averages their probabilities.")
    ] = False,
    beams: BeamsOption = 5,
    length_penalty: LengthPenaltyOption = 0.0,
    streams: Annotated[
        int | None,
        typer.Option(
            "--streams", metavar="N", min=1, help="Lanes that are read in parallel; the score is defined with 1."
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="KIND",
            help="fp32 or bf16; --dynamic, --cache and --calibrated always compute in fp32.",
            autocompletion=completion.words("fp32", "bf16"),
        ),
    ] = "fp32",
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic", help="Also score with dynamic evaluation, with the settings that `charlm tune` found."
        ),
    ] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Also score with a continuous cache.")] = False,
    calibrated: Annotated[bool, typer.Option("--calibrated", help="Also score at the tuned temperature.")] = False,
    mix: Annotated[
        bool,
        typer.Option(
            "--mix",
            help="Also score mixed with n-grams of the training text; the weights are tuned on validation text.",
        ),
    ] = False,
    mix_online: Annotated[
        bool,
        typer.Option(
            "--mix-online",
            help="Also score mixed with those and with n-grams of the text read so far: an adaptive score.",
        ),
    ] = False,
    proved: Annotated[
        bool,
        typer.Option(
            "--proved",
            help="Also score with the integer model of `charlm compress`: the bits that an archive of the text pays.",
        ),
    ] = False,
    lanes: Annotated[
        int | None,
        typer.Option(
            "--lanes",
            metavar="N",
            min=1,
            max=256,
            help="Of --proved: the lanes of the archive, as `compress` has them.",
        ),
    ] = None,
    per_document: Annotated[
        Path | None,
        typer.Option("--per-document", metavar="FILE", help="Write the score of each document (.parquet or .csv)."),
    ] = None,
    per_token: Annotated[
        Path | None,
        typer.Option("--per-token", metavar="FILE", help="Write the surprisal of each token (.parquet or .csv)."),
    ] = None,
    confusion: Annotated[
        Path | None,
        typer.Option(
            "--confusion",
            metavar="FILE",
            help="Of labels or tags: draw how often each is predicted as each other (.png, needs matplotlib), or write"
            " the counts (.csv).",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Score a run: predict each token of a split once, and report the loss in every unit.

    perplexity: exp(nats / tokens). character and word perplexity: the same per character, per word. bits per character:
    nats / ln 2 / characters, where the nats include every end of document, and the characters do not. bits per byte:
    the same over UTF-8 bytes. word: a run of non-whitespace. interval: the 95 % confidence interval of the bits per
    character, by bootstrap over documents, or over 16 blocks of text if there are fewer than 20 documents; it does not
    cover the variance between seeds.
    """
    from charlm.evaluation.tables import check_table_suffix
    from charlm.evaluation.transduction.beam_search import BeamOptions
    from charlm.report.confusion import check_confusion_file
    from charlm.workflows.compress import open_run_model
    from charlm.workflows.evaluate import EvalRequest, compare_runs, score_ensemble, score_run, summarize_result
    from charlm.workflows.evaluate_labels import LabelEvalRequest
    from charlm.workflows.evaluate_targets import TargetEvalRequest
    from charlm.workflows.load_run import all_predict_labels, all_transduce, predicts_labels
    from charlm.workflows.progress import evaluation_bar
    from charlm.workflows.prove import prove_score
    from charlm.workspace import path_exists

    if precision not in ("fp32", "bf16"):
        raise UsageError(f"--precision {precision} is unknown", "give fp32 or bf16")
    for path, option in ((per_document, "--per-document"), (per_token, "--per-token")):
        if path is not None:
            check_table_suffix(path)
        check_file(path, option)
    if confusion is not None:
        check_confusion_file(confusion)
        check_file(confusion, "--confusion")
    for name in runs or ():
        if path_exists(Path(name)) and Path(name).is_file():
            raise UsageError(f"{name} is a file, not a run", f"score it with --text {shlex.quote(name)}")
    if text is not None and data is not None:
        raise UsageError("--text and --data both name a text to score", "give one of them")
    if text is not None and "split" in given_parameters(context):
        raise UsageError("--split is a part of a corpus, and --text is scored whole", "leave one of them out")
    if lanes is not None and not proved:
        raise UsageError("--lanes is for --proved, and --streams for the score", "add --proved, or leave it out")
    if ensemble and len(runs or ()) < 2:
        raise UsageError("--ensemble scores several runs as one model", "name two runs or more")
    names = runs or [None if text is None else run_or_bundled(None)]
    given = {
        "--label": bool(label),
        "--text": text is not None,
        "--streams": streams is not None,
        "--dynamic": dynamic,
        "--cache": cache,
        "--calibrated": calibrated,
        "--mix": mix,
        "--mix-online": mix_online,
        "--proved": proved,
        "--per-document": per_document is not None,
        "--per-token": per_token is not None,
    }
    for_language_models = [option for option, is_given in given.items() if is_given]
    if all_transduce(names, checkpoint):
        for_labels = [*["--classify"] * classify, *["--confusion"] * (confusion is not None)]
        refuse_other_options([*for_labels, *for_language_models])
        wanted_targets = TargetEvalRequest(split, data, precision, device, BeamOptions(beams, length_penalty))
        evaluate_target_runs(names, checkpoint, wanted_targets, is_ensemble=ensemble, as_json=as_json)
        return
    for name in ("beams", "length_penalty"):
        if name in given_parameters(context):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is for runs of --task transduce, which write a text for a text", "leave it out")
    if classify and all(predicts_labels(name, checkpoint) for name in names):
        raise UsageError(
            "--classify has no effect: a model of labels or tags is always scored like this", "leave it out"
        )
    if classify or all_predict_labels(names, checkpoint):
        refuse_language_options(for_language_models)
        wanted_labels = LabelEvalRequest(split, data, precision, device)
        evaluate_label_runs(names, checkpoint, wanted_labels, confusion, is_ensemble=ensemble, as_json=as_json)
        return
    if confusion is not None:
        raise UsageError("--confusion is for models of labels or tags, and this is a language model", "leave it out")
    content = None if text is None else read_text(text)
    wanted = dict(zip(METHOD_OPTIONS, (dynamic, cache, calibrated, mix, mix_online), strict=True))
    methods = tuple(method for method, is_wanted in wanted.items() if is_wanted)
    request = EvalRequest(
        split=split,
        data=data,
        text=content,
        labels=tuple(label or ()),
        streams=streams,
        precision=precision,
        device=device,
        methods=methods,
    )
    if not ensemble and (len(names) > 2 or (len(names) == 2 and (per_document or per_token))):
        raise UsageError(
            "eval takes one run, or two without --per-document and --per-token",
            "compare more runs with `charlm compare`, or add --ensemble",
        )
    if proved and len(names) > 1:
        raise UsageError("--proved scores one run", "name one run")
    integer_model = open_run_model(names[0], checkpoint) if proved else None
    with evaluation_bar(quiet=as_json) as on_progress:
        if ensemble:
            found, difference = [score_ensemble(names, checkpoint, request, on_progress)], None
        elif len(names) == 2:
            found, difference = compare_runs((str(names[0]), str(names[1])), checkpoint, request, on_progress)
        else:
            found, difference = [score_run(names[0], checkpoint, request, on_progress)], None
    results = [summarize_result(each, request) for each in found]
    if integer_model is not None:
        with evaluation_bar(quiet=as_json) as on_progress:
            results[0]["proved"] = prove_score(integer_model, found[0], lanes, on_progress)
    if len(found) == 2:
        print_comparison(results, difference, as_json=as_json)
    else:
        write_tables(found[0], split, per_document, per_token)
        if as_json:
            terminal.print_json(results[0])
        else:
            terminal.print_table(readable_result(results[0]))
    if not as_json:
        note_seen_text(found)
    note_worse_than_uniform(results)
