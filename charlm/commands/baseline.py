"""`charlm baseline`: score simple models on a corpus."""

from typing import Annotated

import typer

from charlm.commands import completion
from charlm.commands.compare_targets import show_target_baselines
from charlm.commands.evaluate_labels import refuse_language_options, show_label_baselines
from charlm.commands.evaluate_targets import refuse_other_options
from charlm.commands.options import JsonOption, SplitOption
from charlm.commands.table import (
    BaselinesOption,
    CsvOption,
    PngOption,
    SetBaselinesOption,
    check_outputs,
    note_training_text,
    show_table,
)


def baseline(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="A prepared corpus, by name or directory; the last one if left out.",
            autocompletion=completion.corpora,
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

    On a corpus of labels: the most frequent label, n-grams of each class, logistic regression over n-grams (needs
    scikit-learn). On one of tags: a word's most frequent tags, or the longest match, and a linear model of a window.
    On one of targets: the source itself, the most frequent target, and n-grams of aligned pieces of source and target.

    Each compressor is measured twice: on the split alone, and on what the split adds to the training text. Choose the
    baselines with --set 'baselines=[{type="kneser_ney", order=6}, {type="xz"}]'; {type="archive"} is `charlm compress`.
    """
    from charlm import workspace
    from charlm.data.corpus import open_corpus
    from charlm.data.source_texts import SourceConditions
    from charlm.evaluation.baselines.settings import BaselineSettings
    from charlm.experiment import read_layers
    from charlm.settings import validate
    from charlm.workflows.compare import baseline_rows, with_ratios
    from charlm.workflows.progress import stage_bar

    chosen = validate(BaselineSettings, read_layers(config, (), settings or ()))
    check_outputs(csv, png)
    corpus = open_corpus(workspace.find_data(data))
    if corpus.labels is not None:
        given = {"--config": config, "--set": settings, "--csv": csv, "--png": png}
        refuse_language_options([option for option, value in given.items() if value])
        show_label_baselines(corpus, split, as_json=as_json)
        return
    if isinstance(corpus.conditions, SourceConditions):
        given = {"--config": config, "--set": settings, "--csv": csv, "--png": png}
        refuse_other_options([option for option, value in given.items() if value])
        show_target_baselines(corpus, split, as_json=as_json)
        return
    note_training_text(split, has_runs=False, has_baselines=True)
    with stage_bar(quiet=as_json) as on_stage:
        rows = with_ratios(baseline_rows(corpus, split, chosen, on_stage))
    show_table(rows, {"data": str(corpus.directory), "split": split}, csv, png, as_json=as_json)
