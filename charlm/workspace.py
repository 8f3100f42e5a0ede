"""Where things are in the folder a user works in: corpora in data/, runs in runs/, and the last of each by default;
and where configs are.

--data ltg, --data data/ltg      -> data/ltg             nothing -> what data/current.json remembers
RUN lstm-ltg, runs/lstm-ltg      -> runs/lstm-ltg        nothing -> what runs/current.json remembers
    bundled                      -> the model in the package, if no run has that name; where one may do, also for
                                    nothing, until there is a run
"""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charlm import storage
from charlm.errors import StorageError, UsageError

DATA = Path("data")
RUNS = Path("runs")
BUNDLED = "bundled"
_BUNDLED_MODEL = Path(__file__).with_name("bundled")
_CURRENT_FILE = "current.json"


@dataclass(frozen=True)
class _DirectoryKind:
    """What a directory may be."""

    name: str
    root: Path
    markers: tuple[str, ...]
    """Files or folders, one of which is in each such directory."""
    cure: str
    """How there comes to be one."""

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
    """The directory of a prepared corpus: by path, by name, or the current one.

    Raises:
        UsageError: there is none.
    """
    return _find_directory(_CORPUS, given)


def find_run(given: str | None) -> Path:
    """The directory of a run or checkpoint: by path, by name, or the current one.

    Raises:
        UsageError: there is none.
    """
    if given == BUNDLED and not (RUNS / BUNDLED).is_dir():
        return _BUNDLED_MODEL
    return _find_directory(_RUN, given)


def drop_current_file(given: list[str]) -> list[str]:
    """The runs among what the shell makes of runs/*, which also names the file that remembers the last one."""
    return [name for name in given if Path(name) != RUNS / _CURRENT_FILE]


def run_or_bundled(given: str | None) -> str | None:
    """The same name, or that of the bundled model where nothing is given and there is no run yet."""
    return BUNDLED if given is None and not (RUNS / _CURRENT_FILE).is_file() else given


def is_bundled(path: Path) -> bool:
    """Whether this is the model that comes with charlm."""
    return path == _BUNDLED_MODEL


def path_exists(path: Path) -> bool:
    """Whether it exists; what is too long for a name, a text for example, does not."""
    try:
        return path.exists()
    except OSError:
        return False


def is_run(path: Path) -> bool:
    """Whether a directory is that of a run or of a checkpoint."""
    return _RUN.matches(path)


def _find_directory(kind: _DirectoryKind, given: str | None) -> Path:
    """The directory that a path, a name below the root of its kind, or nothing at all (the current one) means."""
    if given is None:
        return _current_directory(kind)
    is_name = Path(given).name == given  # then ./NAME may be the folder of texts that data/NAME was made from
    paths = [kind.root / given, Path(given)] if is_name else [Path(given), kind.root / given]
    directory = next((path for path in paths if path_exists(path) and path.is_dir()), None)
    if directory is not None and kind.matches(directory):
        return directory
    raise _not_found(kind, given, directory)


def _not_found(kind: _DirectoryKind, given: str, directory: Path | None) -> UsageError:
    """That there is none: what is there instead, and which there are."""
    from charlm.suggestions.words import format_value, suggest  # not for every --help

    existing = directory_names(kind.root)
    listing = f"there are {', '.join(existing)}" if existing else kind.cure
    for other in (_CORPUS, _RUN):
        if other is not kind and any(other.matches(path) for path in (Path(given), other.root / given)):
            return UsageError(f"there is no {kind.name} in {given}: that is a {other.name}", listing)
    if kind is _CORPUS and path_exists(Path(given)):
        prepare_cure = f"make one of it, as by `charlm prepare --source text --input {shlex.quote(given)}`"
        return UsageError(
            f"there is no {kind.name} in {directory or given}",
            f"{prepare_cure}; {listing}" if existing else prepare_cure,
        )
    cure = suggest(given, existing, "there are") if existing else kind.cure
    return UsageError(
        f"there is no {kind.name} {format_value(given)}" if directory is None else f"{directory} is no {kind.name}",
        cure,
    )


def directory_names(root: Path) -> list[str]:
    """Of the directories below `root`."""
    return sorted(path.name for path in root.glob("[!.]*") if path.is_dir())


def config_directories() -> list[Path]:
    """Where a config's name is looked up: ./configs, the checkout's, the package's."""
    package = Path(__file__).parent
    return [Path("configs"), package.parent / "configs", package / "configs"]


def config_names() -> list[str]:
    """The names of the configs there are, such as lstm and ideas/gru."""
    folders = config_directories()
    paths = [path.relative_to(folder) for folder in folders for path in folder.rglob("*.toml")]
    return sorted({path.with_suffix("").as_posix() for path in paths})


def relative_to_cwd(path: Path) -> Path:
    """As seen from here, where that is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def set_current(root: Path, directory: Path, note: Callable[[str], None]) -> None:
    """Make `directory` the default of later commands run in this folder; a disk that refuses is noted, no error."""
    try:
        storage.make_directory(root)
        storage.remove_stale_temporaries(root / _CURRENT_FILE)
        storage.write_json(root / _CURRENT_FILE, {"path": os.path.relpath(directory)})
    except StorageError as error:
        note(f"{directory} is not the default of later commands: {error.what}")


def _current_directory(kind: _DirectoryKind) -> Path:
    path = kind.root / _CURRENT_FILE
    if not path.is_file():
        raise UsageError(f"there is no {kind.name} yet", kind.cure)
    try:
        current = Path(str(storage.read_json(path)["path"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged", f"name the {kind.name} on the command line") from error
    if not current.is_dir():
        existing = directory_names(kind.root)
        cure = f"there are {', '.join(existing)}" if existing else kind.cure
        raise UsageError(f"the last {kind.name}, {current}, is gone", cure)
    return current
