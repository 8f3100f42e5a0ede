"""Where things are in the folder a user works in: corpora in data/, runs in runs/, and the last of each by default;
and where configs are.

--data ltg, --data data/ltg      -> data/ltg             nothing -> what data/current.json remembers
RUN lstm-ltg, runs/lstm-ltg      -> runs/lstm-ltg        nothing -> what runs/current.json remembers
    bundled                      -> the model in the package, if no run has that name; where one may do, also for
                                    nothing, until there is a run
"""

import os
from pathlib import Path

from charlm import storage
from charlm.errors import UsageError

DATA = Path("data")
RUNS = Path("runs")
BUNDLED = "bundled"
_BUNDLED_MODEL = Path(__file__).with_name("bundled")
_CURRENT = "current.json"


def find_data(given: str | None) -> Path:
    """The directory of a prepared corpus: by path, by name, or the current one."""
    return locate(DATA, given, "prepared corpus", "make one with `charlm prepare`")


def find_run(given: str | None) -> Path:
    """The directory of a run or checkpoint: by path, by name, or the current one."""
    if given == BUNDLED and not (RUNS / BUNDLED).is_dir():
        return _BUNDLED_MODEL
    return locate(RUNS, given, "run", "make one with `charlm train`")


def run_or_bundled(given: str | None) -> str | None:
    """The same name, or that of the bundled model where nothing is given and there is no run yet."""
    return BUNDLED if given is None and not (RUNS / _CURRENT).is_file() else given


def is_bundled(path: Path) -> bool:
    """Whether this is the model that comes with charlm."""
    return path == _BUNDLED_MODEL


def locate(root: Path, given: str | None, what: str, cure: str) -> Path:
    """The directory that a path, a name below `root`, or nothing at all (the current one) means.

    Raises:
        UsageError: it does not exist.
    """
    if given is None:
        return _current(root, what, cure)
    is_name = Path(given).name == given  # then ./NAME may be the folder of texts that data/NAME was made from
    for path in (root / given, Path(given)) if is_name else (Path(given), root / given):
        if path.is_dir():
            return path
    raise UsageError(f"there is no {what} {given!r}", _known(root) or cure)


def names(root: Path) -> list[str]:
    """Of the directories below `root`."""
    return sorted(path.name for path in root.glob("[!.]*") if path.is_dir())


def config_directories() -> list[Path]:
    """Where a config's name is looked up: ./configs, the checkout's, the package's."""
    package = Path(__file__).parent
    return [Path("configs"), package.parent / "configs", package / "configs"]


def configs() -> list[str]:
    """The names of the configs there are, such as lstm and ideas/gru."""
    folders = config_directories()
    paths = [path.relative_to(folder) for folder in folders for path in folder.rglob("*.toml")]
    return sorted({path.with_suffix("").as_posix() for path in paths})


def relative(path: Path) -> Path:
    """As seen from here, where that is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def remember(root: Path, directory: Path) -> None:
    """Make `directory` the default of later commands run in this folder."""
    storage.make_directory(root)
    storage.sweep(root / _CURRENT)
    storage.write_json(root / _CURRENT, {"path": os.path.relpath(directory)})


def _current(root: Path, what: str, cure: str) -> Path:
    path = root / _CURRENT
    if not path.is_file():
        raise UsageError(f"there is no {what} yet", cure)
    try:
        current = Path(str(storage.read_json(path)["path"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged", f"name the {what} on the command line") from error
    if not current.is_dir():
        raise UsageError(f"the last {what}, {current}, is gone", _known(root) or cure)
    return current


def _known(root: Path) -> str:
    known = names(root)
    return f"there are {', '.join(known)}" if known else ""
