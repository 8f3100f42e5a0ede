"""Names of corpora, runs and configs -> their paths, in the folder that the user works in.

--data ltg, --data data/ltg      -> data/ltg             nothing given -> the path in data/current.json
RUN lstm-ltg, runs/lstm-ltg      -> runs/lstm-ltg        nothing given -> the path in runs/current.json
    bundled                      -> the model in the package, if no run has that name. Some commands use it also
                                    if nothing is given and there is no run yet
    hub:USER/NAME@REVISION       -> a model of the Hugging Face hub, in the cache
"""

import os
import shlex
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from charlm import storage
from charlm.errors import StorageError, UsageError
from charlm.hub.address import is_hub_address, parse_address

DATA = Path("data")
RUNS = Path("runs")
BUNDLED = "bundled"
_BUNDLED_MODEL = Path(__file__).with_name("bundled")
_CURRENT_FILE = "current.json"


@dataclass(frozen=True)
class _DirectoryKind:
    """A kind of directory: a corpus or a run."""

    name: str
    root: Path
    markers: tuple[str, ...]
    """Files or folders; each directory of this kind has at least one of them."""
    cure: str
    """How to make one."""

    def matches(self, path: Path) -> bool:
        return any(path_exists(path / marker) for marker in self.markers)


_CORPUS = _DirectoryKind("prepared corpus", DATA, ("corpus.json",), "make one with `charlm prepare`")
_RUN = _DirectoryKind(
    "run",
    RUNS,
    ("experiment.toml", "metrics.jsonl", "checkpoints", "model.json", storage.MANIFEST),
    "make one with `charlm train`",
)


def find_data(given: str | None) -> Path:
    """Return the directory of a prepared corpus, given by path or name; the current one if None.

    Raises:
        UsageError: it does not exist.
    """
    return _find_directory(_CORPUS, given)


def find_run(given: str | None) -> Path:
    """Return the directory of a run or checkpoint, given by path, by name, or by an address on the hub, from which it
    is downloaded; the current one if None.

    Raises:
        UsageError: it does not exist.
        NetworkError, DataError: the hub does not have it, or has something else.
    """
    if given is not None and is_hub_address(given):
        from charlm.hub.download import download_model  # late: --help does without it

        return download_model(parse_address(given))
    if given == BUNDLED and not (RUNS / BUNDLED).is_dir():
        return _BUNDLED_MODEL
    return _find_directory(_RUN, given)


def current_data() -> Path | None:
    """Return the directory of the current corpus, which may have been removed since; None if there is none yet.

    Raises:
        UsageError: data/current.json is damaged.
    """
    return _read_current(_CORPUS)


def check_output_name(directory: Path, option: str) -> None:
    """Check the name of a directory that is to be made.

    Raises:
        UsageError: it has no name, or a control character in it, which would break lines of output.
    """
    if not storage.directory_name(directory):
        raise UsageError(f"{option} {directory} has no name", f"choose another {option}")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in str(directory)):
        raise UsageError(
            f"the name {str(directory)!r} has a line feed or another control character", f"choose another {option}"
        )


def drop_current_file(given: list[str]) -> list[str]:
    """Drop current.json from the names that the shell makes of runs/*."""
    return [name for name in given if Path(name) != RUNS / _CURRENT_FILE]


def run_or_bundled(given: str | None) -> str | None:
    """Return the given name, or the bundled model's if nothing is given and there is no run yet."""
    return BUNDLED if given is None and not (RUNS / _CURRENT_FILE).is_file() else given


def is_bundled(path: Path) -> bool:
    """Whether a directory is that of the bundled model."""
    return path == _BUNDLED_MODEL


def run_name(given: str | None, path: Path) -> str:
    """Return how a run is called in output: by its path, or for the bundled model and one of the hub by its name.

    Args:
        given: the name on the command line.
        path: the directory that `find_run` found.
    """
    if is_bundled(path):
        return BUNDLED
    if given is not None and is_hub_address(given):
        return str(replace(parse_address(given), revision=path.name))
    return str(path)


def path_exists(path: Path) -> bool:
    """Whether a path exists. A text that is too long for a file name does not."""
    try:
        return path.exists()
    except OSError:
        return False


def is_run(path: Path) -> bool:
    """Whether a directory holds a run or a checkpoint."""
    return _RUN.matches(path)


def _find_directory(kind: _DirectoryKind, given: str | None) -> Path:
    """Return the directory of a path or of a name below the root of its kind; the current one if None."""
    if given is None:
        return _current_directory(kind)
    is_name = Path(given).name == given  # data/NAME comes first: ./NAME may be the texts it was made from
    paths = [kind.root / given, Path(given)] if is_name else [Path(given), kind.root / given]
    directory = next((path for path in paths if path_exists(path) and path.is_dir()), None)
    if directory is not None and kind.matches(directory):
        return directory
    raise _not_found(kind, given, directory)


def _not_found(kind: _DirectoryKind, given: str, directory: Path | None) -> UsageError:
    """The error for a missing directory, with what is there instead and the names that exist."""
    from charlm.suggestions.words import format_value, suggest  # late: --help does without it

    existing = directory_names(kind.root)
    listing = f"there are {', '.join(existing)}" if existing else kind.cure
    for other in (_CORPUS, _RUN):
        if other is not kind and any(other.matches(path) for path in (Path(given), other.root / given)):
            return UsageError(f"{given} is a {other.name}, not a {kind.name}", listing)
    if kind is _CORPUS and path_exists(Path(given)):
        prepare_cure = f"make one of it, as with `charlm prepare --source text --input {shlex.quote(given)}`"
        return UsageError(
            f"there is no {kind.name} in {directory or given}",
            f"{prepare_cure}; {listing}" if existing else prepare_cure,
        )
    cure = suggest(given, existing, "there are") if existing else kind.cure
    return UsageError(
        f"there is no {kind.name} {format_value(given)}" if directory is None else f"{directory} is not a {kind.name}",
        cure,
    )


def directory_names(root: Path) -> list[str]:
    """Return the names of the directories below `root`."""
    return sorted(path.name for path in root.glob("[!.]*") if path.is_dir())


def config_directories() -> list[Path]:
    """Return the folders of configs: ./configs, the checkout's, the package's."""
    package = Path(__file__).parent
    return [Path("configs"), package.parent / "configs", package / "configs"]


def config_names() -> list[str]:
    """Return the names of all configs, such as lstm and ideas/gru."""
    folders = config_directories()
    paths = [path.relative_to(folder) for folder in folders for path in folder.rglob("*.toml")]
    return sorted({path.with_suffix("").as_posix() for path in paths})


def relative_to_cwd(path: Path) -> Path:
    """Return a path relative to the working directory if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def set_current(root: Path, directory: Path, note: Callable[[str], None]) -> None:
    """Make `directory` the default of later commands in this folder. If the disk refuses, only note that."""
    try:
        storage.make_directory(root)
        storage.remove_stale_temporaries(root / _CURRENT_FILE)
        storage.write_json(root / _CURRENT_FILE, {"path": os.path.relpath(directory)})
    except StorageError as error:
        note(f"{directory} is not the default of later commands: {error.what}")


def _current_directory(kind: _DirectoryKind) -> Path:
    current = _read_current(kind)
    if current is None:
        raise UsageError(f"there is no {kind.name} yet", kind.cure)
    if not current.is_dir():
        existing = directory_names(kind.root)
        cure = f"there are {', '.join(existing)}" if existing else kind.cure
        raise UsageError(f"the last {kind.name}, {current}, no longer exists", cure)
    return current


def _read_current(kind: _DirectoryKind) -> Path | None:
    path = kind.root / _CURRENT_FILE
    try:
        return Path(str(storage.read_json(path)["path"])) if path.is_file() else None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged", f"name a {kind.name} on the command line") from error
