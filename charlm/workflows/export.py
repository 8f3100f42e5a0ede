"""A run's model as files of another program.

RUN ──workspace──> checkpoint ──load──> ExportedModel ──format──> a file or a directory
  └── corpus.json of its training text, if it is found ──┘
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from charlm import storage
from charlm.checkpoint import LoadedModel
from charlm.errors import DataError, OptionError, UsageError
from charlm.export.base import ExportFormat
from charlm.export.exported_model import NO_OPTIONS, ExportedModel, ExportOptions
from charlm.export.figures import Figures
from charlm.suggestions.words import join_words
from charlm.training.run_directory import run_of_checkpoint
from charlm.workflows.load_run import load_any_run, open_training_corpus


@dataclass(frozen=True)
class ExportRequest:
    """What a user asks for beside run and format."""

    out: Path | None = None
    """None: a name made of the run's, in the working directory."""
    overwrite: bool = False
    options: ExportOptions = NO_OPTIONS


@dataclass(frozen=True)
class ExportResult:
    run: str
    path: Path
    notes: Sequence[str]


def export_run(run: str | None, checkpoint: str | None, format_: ExportFormat, request: ExportRequest) -> ExportResult:
    """Export the model of a run.

    Raises:
        UsageError: a package is missing, an option has no effect with the format, the output exists, or the format does
            not take this model.
        DataError: the figures are not those of a run.
    """
    _check_options(request.options, format_)
    _check_packages(format_)
    if request.out is not None:
        format_.check_output(request.out, overwrite=request.overwrite)
    loaded, name = load_any_run(run, checkpoint, "cpu")
    file_name = _file_name(loaded, name)
    out = request.out or Path(f"{file_name}{format_.suffix}")
    if request.out is None:
        format_.check_output(out, overwrite=request.overwrite)
    if loaded.directory.resolve().is_relative_to(os.path.realpath(out)):
        raise UsageError(f"{out} holds the model itself", "choose another --out")
    if not format_.takes_any_task:
        _check_language_model(loaded, name, format_)
    _check_figures(request.options.figures, name)
    loaded.model.eval()
    model = ExportedModel(file_name, loaded, _find_text_origin(loaded), request.options)
    return ExportResult(name, out, format_.export(model, out))


def _check_packages(format_: ExportFormat) -> None:
    missing = [name for name in format_.packages if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--format {format_.name} needs {join_words(missing)}, which {'is' if len(missing) == 1 else 'are'} not"
            " installed",
            f"run `pip install {' '.join(missing)}`",
        )


def _check_options(options: ExportOptions, format_: ExportFormat) -> None:
    for field in fields(options):
        if getattr(options, field.name) is not None and field.name not in format_.options:
            raise OptionError(
                f"{{{field.name}}} has no effect with {{format}} {format_.name}", f"leave {{{field.name}}} out"
            )


def _check_figures(figures: Figures | None, name: str) -> None:
    """
    Raises:
        DataError: the figures are those of another run.
    """
    if figures is not None and Path(figures.run).name != Path(name).name:
        raise DataError(f"--figures are those of {figures.run}, and not of {name}", f"evaluate {name}")


def _check_language_model(loaded: LoadedModel, name: str, format_: ExportFormat) -> None:
    """
    Raises:
        UsageError: the model predicts labels or tags, or must be given a label or a text.
    """
    if loaded.labels is not None or loaded.conditions is not None:
        what = f"predicts {loaded.task.noun}" if loaded.labels is not None else "must be given more than a text"
        raise UsageError(
            f"--format {format_.name} is for plain language models, and {name} {what}",
            "use --format hub, or name a run of `charlm prepare` without --task",
        )


def _file_name(loaded: LoadedModel, name: str) -> str:
    """The name of the run; of a checkpoint that was named itself, the name of its run and its own."""
    own = storage.directory_name(Path(name))
    run = run_of_checkpoint(loaded.directory)
    return own if run is None or loaded.directory != Path(name) else f"{run.name}-{own}"


def _find_text_origin(loaded: LoadedModel) -> dict[str, Any] | None:
    try:
        corpus = open_training_corpus(loaded.directory, loaded.metadata["trained_on"])
    except (UsageError, DataError):
        return None
    origin = corpus.metadata.get("origin")
    return cast("dict[str, Any]", origin) if isinstance(origin, dict) else None
