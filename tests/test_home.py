"""`~` in names, and users without a home directory or a name, as in containers."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlm import storage
from charlm.storage import directories
from tests.processes import NOBODY, Commands
from tests.workspaces import CONFIG, texts

ROOT = Path(__file__).parents[1]
TEXT = "".join(texts().values())


# ---- names


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["~", "~backup.txt", "~$draft", "~root", "~/x", "~no-such-user/x", "~*.txt"])
def test_a_name_that_exists_means_itself(in_folder: Path, name: str) -> None:
    first = in_folder / Path(name).parts[0]
    first.mkdir()
    assert storage.expand_home(name) == Path(name)


def test_other_names_are_expanded_where_that_is_possible(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    assert storage.expand_home("~/x") == Path("/home/user/x")
    assert storage.expand_home("~no-such-user/x") == Path("~no-such-user/x")
    assert storage.expand_home("~.txt") == Path("~.txt")
    assert storage.expand_home("a/~/x") == Path("a/~/x")
    assert storage.expand_home("") == Path()


TILDE_COMMANDS = [
    (("prepare", "--workers", "1", "--source", "text", "--input", "~file.txt"), 0),
    (("prepare", "--workers", "1", "--source", "text", "--input", "~folder"), 0),
    (("prepare", "--source", "text", "--input", "~fo*"), 2),
    (("prepare", "--workers", "1", "--source", "text", "--input", "~fi*"), 0),
    (("prepare", "--source", "text", "--input", "~missing"), 2),
    (("prepare", "--workers", "1", "--source", "text", "--input", "texts", "--out", "~out"), 0),
    (("prepare", "--source", "wikipedia", "--input", "~missing"), 2),
    (("prepare", "--source", "hub", "--input", "~missing"), 2),
    (("prepare", "--source", "enwik8", "--input", "~missing"), 2),
    (("prepare", "--source", "text8", "--input", "~missing"), 2),
    (("prepare", "--data", "~missing", "--vocab", "byte"), 2),
    (("train", "--config", "~missing"), 2),
    (("train", "--data", "~missing"), 2),
    (("train", "--config", "tiny", "--out", "~run"), 0),
    (("eval", "~missing"), 2),
    (("eval", "--text", "~file.txt"), 0),
    (("eval", "--text", "~missing"), 2),
    (("eval", "--per-token", "~table.csv"), 0),
    (("sample", "~missing"), 2),
    (("sample", "--length", "5", "--novelty", "~missing"), 2),
    (("explain", "tiny-texts", "мы", "--out", "~page.html"), 0),
    (("explain", "tiny-texts", "--text", "~file.txt"), 0),
    (("inspect", "~file.txt"), 3),
    (("inspect", "~folder"), 2),
    (("inspect", "~missing"), 2),
    (("report", "~missing"), 2),
    (("report", "--out", "~report"), 0),
    (("compare", "~missing"), 2),
    (("baseline", "~missing"), 2),
    (("tune", "~missing"), 2),
]


@pytest.mark.parametrize(
    ("command", "code"), TILDE_COMMANDS, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_names_that_begin_with_a_tilde(workspace: Commands, command: tuple[str, ...], code: int) -> None:
    folder = workspace.folder
    (folder / "~file.txt").write_text(TEXT, encoding="utf-8")
    shutil.copytree(folder / "texts", folder / "~folder")
    ended = workspace(*command)
    assert ended.code == code, ended
    assert "bug in charlm" not in ended.stderr
    if "--out" in command or "--per-token" in command:
        assert (folder / command[-1]).exists()
    if "~missing" in command:
        assert "~missing" in ended.error


# ---- no home


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No HOME, and no entry in the list of users; gives the folder for temporary files."""

    def find_nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", find_nobody)
    for name in ("HOME", "XDG_CACHE_HOME", "CHARLM_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    temporary_cache = directories._temporary_cache  # pyright: ignore[reportPrivateUsage]
    temporary_cache.cache_clear()
    yield tmp_path
    temporary_cache.cache_clear()


def test_without_a_home_there_is_a_temporary_cache(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = homeless / f"charlm-{os.getuid()}"
    assert storage.cache_directory() == own / "charlm"
    assert own.stat().st_mode & 0o777 == 0o700
    assert storage.expand_home("~/x") == Path("~/x")
    storage.name_missing_home()
    assert os.environ["XDG_CACHE_HOME"] == str(own)
    assert storage.cache_directory() == own / "charlm"
    monkeypatch.setenv("CHARLM_CACHE", "~/cache")
    assert storage.cache_directory() == Path("~/cache")


@pytest.mark.parametrize("planted", ["writable", "link", "file"])
def test_a_cache_that_others_may_have_filled_is_not_used(homeless: Path, planted: str) -> None:
    """Compiled code in it is run."""
    own = homeless / f"charlm-{os.getuid()}"
    if planted == "writable":
        own.mkdir()
        own.chmod(0o777)
    elif planted == "link":
        (homeless / "others").mkdir()
        own.symlink_to(homeless / "others")
    else:
        own.touch()
    found = storage.cache_directory()
    assert found.parent != own
    assert found.parent.stat().st_mode & 0o777 == 0o700
    assert storage.cache_directory() == found, "the same in the whole process"


def test_with_a_home_nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    storage.name_missing_home()
    assert "XDG_CACHE_HOME" not in os.environ


@pytest.fixture
def nobody() -> list[str]:
    """The beginning of a command that runs as a user who is in no list, and who may not write everywhere."""
    command = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
    try:
        shown = subprocess.run([*command, "id", "-u"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        shown = ""
    if shown.strip() != str(NOBODY):
        pytest.skip("no user namespaces here")
    return command


@pytest.mark.parametrize("home", [None, "/"])
def test_commands_work_for_an_unknown_user_without_a_home(nobody: list[str], home: str | None, tmp_path: Path) -> None:
    """As in a container that runs with `--user`: HOME is missing, or is a folder that cannot be written."""
    folder, temporary = tmp_path / "folder", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    (folder / "tiny.toml").write_text(CONFIG.replace("texts", "input.txt"), encoding="utf-8")
    (folder / "input.txt").write_text(TEXT, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    for command in (
        "prepare --config tiny.toml --workers 2",
        "train --config tiny.toml",
        "sample --length 5",
        "report",
    ):
        ended = subprocess.run(
            [*nobody, sys.executable, "-m", "charlm", *command.split()],
            cwd=folder,
            env=environment | ({"HOME": home} if home else {}) | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, (command, ended.stderr)
        assert "Traceback" not in ended.stderr
        assert "matplotlib" not in ended.stderr.lower()
    assert not (folder / "~").exists()
    assert {path.name for path in folder.iterdir()} >= {"data", "runs", "report"}
    assert bool(list(temporary.glob("charlm-*/charlm/kernels/*.so"))) == (home is None)
