"""A file -> an archive by the model of a run, and back.

RUN ──workspace──> checkpoint ──open_predictor, load_vocab──> CompressionModel ─┐
FILE ──open_input──> compress, decompress ──open_output──> FILE.charlm, FILE <──┘
"""

import contextlib
import os
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm import storage, workspace
from charlm.archives.archive import MODEL_FILES
from charlm.archives.archive_reader import ArchiveReader
from charlm.archives.archive_writer import cut_name
from charlm.archives.compress import OnProgress, compress
from charlm.archives.decompress import decompress
from charlm.archives.integer_model.description import FORMAT
from charlm.archives.integer_model.files import FILE_NAME, open_predictor
from charlm.archives.integer_model.layout import IntegerModel
from charlm.archives.integer_model.parse_model import parse_model
from charlm.archives.integer_model.predictor import IntegerPredictor
from charlm.archives.model import CompressionModel
from charlm.checkpoint import weights_hash
from charlm.errors import CheckpointError, DataError, UsageError
from charlm.hub.address import is_hub_address
from charlm.tensor_files import CHECKPOINT_CURE
from charlm.vocab.build import load_vocab
from charlm.workflows.byte_streams import STANDARD, check_output, open_input, open_output
from charlm.workflows.load_run import find_checkpoint_of

SUFFIX = ".charlm"


@dataclass(frozen=True)
class ArchiveRequest:
    """Which file, and where the result goes. `-` is standard input or output."""

    file: str
    out: str | None = None
    """None: the name of the file with `SUFFIX`, or without it."""
    overwrite: bool = False


@dataclass(frozen=True)
class CompressOptions:
    """How an archive is made."""

    num_lanes: int | None = None
    embed: bool = False
    verify: bool = True


def prepare_run(run: str | None, checkpoint: str | None) -> dict[str, Any]:
    """Write the integer model of a run into its checkpoint, unless it has one that is whole; return the JSON for it.

    Raises:
        UsageError: there is no such run or checkpoint, or its model has no integer form.
    """
    directory, name = find_checkpoint_of(run, checkpoint)
    path = _integer_model_path(directory)
    storage.verify_manifest(directory, CHECKPOINT_CURE)  # damage elsewhere is no reason to remove the integer model
    try:
        model = open_model(directory, name)
    except CheckpointError:
        storage.remove_tree(path)
        model = open_model(directory, name)
    return {"run": name, "model": model.digest.hex(), "path": str(path)}


def compress_file(
    run: str | None, checkpoint: str | None, request: ArchiveRequest, options: CompressOptions, on_progress: OnProgress
) -> dict[str, Any]:
    """Compress a file with the model of a run; return the JSON that `charlm compress` prints.

    Raises:
        UsageError: there is no such run or file, the output exists, or the model has no integer form.
        StorageError: the disk fails.
    """
    out = request.out or (STANDARD if request.file == STANDARD else request.file + SUFFIX)
    check_output(out, request.file, overwrite=request.overwrite)
    with open_input(request.file) as source:
        directory, name = find_checkpoint_of(run, checkpoint)
        model = open_model(directory, name)
        files = embedded_files(directory) if options.embed else {}
        with open_output(out) as sink:
            found = compress(
                source,
                sink,
                model,
                on_progress,
                num_lanes=options.num_lanes,
                verify=options.verify,
                model_files=files,
            )
    return {
        "run": name,
        "model": model.digest.hex(),
        "file": source.name,
        "archive": out,
        "bytes": found.num_bytes,
        "archive_bytes": found.archive_bytes,
        "model_bytes": sum(path.stat().st_size for path in files.values()),
        "bits_per_byte": 8 * found.archive_bytes / found.num_bytes if found.num_bytes else None,
        "lanes": found.num_lanes,
        "blocks": found.num_blocks,
        "stored_blocks": found.stored_blocks,
    }


def decompress_file(
    run: str | None, checkpoint: str | None, request: ArchiveRequest, on_progress: OnProgress
) -> dict[str, Any]:
    """Decompress an archive with the model that it holds or names, or with that of a run; return the JSON for it.

    Raises:
        UsageError: there is no such run or file, or the output exists.
        DataError: this is no archive, a damaged one, or one of another model.
        StorageError: the disk fails.
    """
    out = request.out or _name_without_suffix(request.file)
    check_output(out, request.file, overwrite=request.overwrite)
    if run is not None:
        find_checkpoint_of(run, checkpoint)  # a wrong name is said before the archive is read
    with open_input(request.file) as source:
        reader = ArchiveReader(source, source.name)
        with _model_of(reader, run, checkpoint) as model, open_output(out) as sink:
            num_bytes = decompress(reader, sink, model, on_progress)
    return {
        "run": model.name,
        "model": model.digest.hex(),
        "archive": source.name,
        "file": out,
        "bytes": num_bytes,
        "lanes": reader.header.num_lanes,
    }


def open_run_model(run: str | None, checkpoint: str | None) -> CompressionModel:
    """Open the integer model of a run; raises as `open_model`, and UsageError if there is no such run."""
    return open_model(*find_checkpoint_of(run, checkpoint))


def open_model(directory: Path, name: str) -> CompressionModel:
    """Open the integer model of a checkpoint; it is made if there is none.

    Args:
        name: of the run.

    Raises:
        UsageError: the model has no integer form.
        DataError: the checkpoint is damaged.
    """
    recorded = name if is_hub_address(name) else storage.directory_name(Path(name))
    predictor = open_predictor(directory, prepare=True, path=_integer_model_path(directory))
    return _with_vocab(predictor.model, directory, recorded)


def embedded_files(directory: Path) -> dict[str, Path]:
    """Return the files that an archive holds under `--embed`, by their names in it, of a checkpoint with an integer
    model."""
    files = {file: directory / file for file in MODEL_FILES} | {FILE_NAME: _integer_model_path(directory)}
    return {file: path for file, path in files.items() if path.is_file()}


def _integer_model_path(directory: Path) -> Path:
    """Return where the integer model of a checkpoint is: beside the weights; in the cache where nothing may be written
    there, and for the bundled model, which is a part of the program."""
    path = directory / FILE_NAME
    if path.exists() or (os.access(directory, os.W_OK) and not workspace.is_bundled(directory)):
        return path
    return storage.cache_directory() / "integer" / f"{weights_hash(directory)}-{FORMAT}.safetensors"


def _with_vocab(model: IntegerModel, directory: Path, name: str) -> CompressionModel:
    vocab = load_vocab(directory)
    if vocab.size != model.description.vocab_size:
        raise DataError(
            f"the vocabulary has {vocab.size} ids, and the integer model of {name} {model.description.vocab_size}",
            "make the integer model again with `charlm compress --prepare`, or get the archive again",
        )
    return CompressionModel(IntegerPredictor(model), vocab, name, lambda: IntegerPredictor(model))


@contextlib.contextmanager
def _model_of(
    reader: ArchiveReader, run: str | None, checkpoint: str | None
) -> Generator[CompressionModel, None, None]:
    """Open the model for an archive.

    Raises:
        UsageError: the archive holds its model, and a run is named; or none is named, and the run is not here.
        DataError: the embedded model is damaged.
    """
    header = reader.header
    if not header.is_embedded:
        yield open_run_model(_find_run_of(reader) if run is None else run, checkpoint)
        return
    if run is not None or checkpoint is not None:
        raise UsageError(f"{reader.name} holds its model", "leave RUN and --checkpoint out")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reader.extract_model(folder)
        path = folder / FILE_NAME
        content = path.read_bytes() if path.is_file() else b""
        yield _with_vocab(parse_model(content, f"the model in {reader.name}"), folder, header.name)


def _find_run_of(reader: ArchiveReader) -> str:
    """Return the run that an archive names, if there is one of that name here.

    The name is looked up among the runs of this folder alone: what a stranger's archive says is no path and no address.
    """
    name = reader.header.name
    for run in (workspace.BUNDLED, *workspace.directory_names(workspace.RUNS)):
        if cut_name(run) == name.encode("utf-8"):
            return run
    raise UsageError(
        f"{reader.name} needs the model {reader.header.digest.hex()} of the run {name!r}, which is not here",
        "name the run: `charlm decompress RUN FILE`",
    )


def _name_without_suffix(file: str) -> str:
    """
    Raises:
        UsageError: the name of the archive does not say that of the file.
    """
    if file == STANDARD:
        return STANDARD
    if not file.endswith(SUFFIX) or Path(file).name == SUFFIX:
        raise UsageError(f"{file} does not end in {SUFFIX}, so the name of its content is unknown", "give --out FILE")
    return file.removesuffix(SUFFIX)
