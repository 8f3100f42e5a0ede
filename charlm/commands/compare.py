"""`charlm compare`: put runs, and on request baselines, into one table."""

from typing import Annotated

import typer

from charlm.commands import completion
from charlm.commands.compare_labels import compare_label_runs
from charlm.commands.compare_targets import compare_target_runs
from charlm.commands.evaluate_labels import refuse_language_options
from charlm.commands.evaluate_targets import refuse_other_options
from charlm.commands.options import CheckpointOption, DeviceOption, JsonOption, RunsDataOption, SplitOption
from charlm.commands.table import (
    BaselinesOption,
    CsvOption,
    PngOption,
    SetBaselinesOption,
    check_outputs,
    note_training_text,
    show_table,
)
from charlm.errors import UsageError


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Runs, by name or directory.", autocompletion=completion.runs),
    ],
    baselines: Annotated[bool, typer.Option("--baselines", help="Add the baselines of `charlm baseline`.")] = False,
    split: SplitOption = "test",
    data: RunsDataOption = None,
    config: BaselinesOption = None,
    settings: SetBaselinesOption = None,
    checkpoint: CheckpointOption = None,
    csv: CsvOption = None,
    png: PngOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Put runs into one table: parameters, characters seen, time, bits per character with interval, ratio to the best,
    and the difference to the best run with interval.

    Runs that predict labels or tags: accuracy with interval, macro-F1 or the F1 of segments, bits per label, and the
    difference to the best with interval. Runs that write a text for a text: exact match with interval, error rates, and
    the difference to the best with interval.

    --config and --set choose the baselines, as for `charlm baseline`.
    """
    from charlm.evaluation.baselines.settings import BaselineSettings
    from charlm.experiment import read_layers
    from charlm.settings import validate
    from charlm.workflows.compare import compare_models
    from charlm.workflows.evaluate import EvalRequest
    from charlm.workflows.evaluate_labels import LabelEvalRequest
    from charlm.workflows.evaluate_targets import TargetEvalRequest
    from charlm.workflows.load_run import all_predict_labels, all_transduce
    from charlm.workflows.progress import evaluation_bar, stage_bar
    from charlm.workspace import drop_current_file

    if not baselines and (config or settings):
        raise UsageError("--config and --set choose baselines, and --baselines is not given", "add --baselines")
    chosen = validate(BaselineSettings, read_layers(config, (), settings or ())) if baselines else None
    check_outputs(csv, png)
    note_training_text(split, has_runs=True, has_baselines=baselines)
    names = drop_current_file(runs)
    for_texts = [name for name, value in {"--config": config, "--set": settings}.items() if value]
    if all_predict_labels(names, checkpoint):
        refuse_language_options(for_texts)
        labels = LabelEvalRequest(split, data, "fp32", device)
        compare_label_runs(names, checkpoint, labels, csv, png, has_baselines=baselines, as_json=as_json)
        return
    if all_transduce(names, checkpoint):
        refuse_other_options(for_texts)
        targets = TargetEvalRequest(split, data, "fp32", device)
        compare_target_runs(names, checkpoint, targets, csv, png, has_baselines=baselines, as_json=as_json)
        return
    request = EvalRequest(split=split, data=data, device=device)
    with evaluation_bar(quiet=as_json) as on_progress, stage_bar(quiet=as_json) as on_stage:
        rows = compare_models(names, checkpoint, request, chosen, on_progress, on_stage)
    show_table(rows, {"split": split}, csv, png, as_json=as_json)
