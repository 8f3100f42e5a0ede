"""Files that a user names for output: links stay, pipes and devices are written through, and nothing replaces them."""

import contextlib
import errno
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from charlm import storage
from charlm.errors import StorageError
from tests.command_options import command_options
from tests.processes import Commands

UNIFORM = ("--set", 'baselines=[{type="uniform"}]')
OUTPUTS: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("explain", "--out"): (".html", ("tiny-texts", "мы из")),
    ("eval", "--per-document"): (".csv", ()),
    ("eval", "--per-token"): (".parquet", ()),
    ("baseline", "--csv"): (".csv", UNIFORM),
    ("baseline", "--png"): (".png", UNIFORM),
    ("compare", "--csv"): (".csv", ("tiny-texts",)),
    ("compare", "--png"): (".png", ("tiny-texts",)),
}
"""Command and option -> the suffix of the file, and further arguments."""
MAGIC = {".html": b"<!doctype html>", ".csv": b'"', ".parquet": b"PAR1", ".png": b"\x89PNG"}
TEXTS = (".html", ".csv")


def test_every_option_that_names_a_file_for_output_is_tried() -> None:
    """The name of a file to be read is a `str`: it may be `-`, or the name of a config."""
    found = {(each.command, each.option) for each in command_options() if each.metavar == "FILE" and Path in each.types}
    of_labels = {("predict", "--out"), ("eval", "--confusion")}
    assert found == {*OUTPUTS, *of_labels}, "what needs a run of labels is in test_predict.py"


def written(commands: Commands, option: tuple[str, str], path: Path) -> str:
    """Run the command with this path; return what it printed."""
    _, arguments = OUTPUTS[option]
    return commands.succeed(option[0], *arguments, option[1], str(path)).stdout


def assert_written(option: tuple[str, str], content: bytes) -> None:
    suffix, _ = OUTPUTS[option]
    begin = content[:200].lower() if suffix == ".html" else content
    expected = b"model," if option[1] == "--csv" else MAGIC[suffix]
    assert begin.startswith(expected), content[:200]
    assert len(content) > 50


class Reader:
    """Reads a pipe in the file system to its end."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._path = path
        self._content = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._content = self._path.read_bytes()

    def finish(self) -> bytes:
        self._thread.join(30)
        assert not self._thread.is_alive(), "nobody wrote into the pipe"
        return self._content


def make_device(path: Path) -> None:
    """A null device that may be lost."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize("option", OUTPUTS, ids=" ".join)
def test_the_link_stays_and_its_target_is_written(toured: Commands, option: tuple[str, str], tmp_path: Path) -> None:
    suffix, _ = OUTPUTS[option]
    (tmp_path / "elsewhere").mkdir()
    target, link, link_to_link = (tmp_path / name for name in ("elsewhere/target", f"link{suffix}", f"again{suffix}"))
    link.symlink_to("elsewhere/target")
    link_to_link.symlink_to(link)
    for path in (link, link_to_link):  # first without a target
        written(toured, option, path)
        assert_written(option, target.read_bytes())
        target.write_bytes(b"old")
    assert (link.is_symlink(), link_to_link.is_symlink()) == (True, True)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["target"]


@pytest.mark.parametrize("option", OUTPUTS, ids=" ".join)
def test_a_pipe_is_written_through(toured: Commands, option: tuple[str, str], tmp_path: Path) -> None:
    suffix, _ = OUTPUTS[option]
    pipe = tmp_path / f"pipe{suffix}"
    reader = Reader(pipe)
    written(toured, option, pipe)
    assert_written(option, reader.finish())
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("option", OUTPUTS, ids=" ".join)
def test_a_device_stays_a_device(toured: Commands, option: tuple[str, str], tmp_path: Path) -> None:
    suffix, _ = OUTPUTS[option]
    device = tmp_path / f"null{suffix}"
    make_device(device)
    written(toured, option, device)
    assert device.is_char_device()
    assert list(tmp_path.iterdir()) == [device]


@pytest.mark.parametrize(
    "option", [option for option in OUTPUTS if OUTPUTS[option][0] in (".html", ".csv")], ids=" ".join
)
def test_standard_output_is_written_through(toured: Commands, option: tuple[str, str], tmp_path: Path) -> None:
    """Through a link too, since some options ask for a suffix."""
    link = tmp_path / f"link{OUTPUTS[option][0]}"
    link.symlink_to("/dev/stdout")
    shown = written(toured, option, link)
    assert_written(option, shown.encode())
    assert len(shown.splitlines()) > 2, "what the command prints follows"
    assert link.is_symlink()


def test_the_pages_of_a_report_too(toured: Commands, tmp_path: Path) -> None:
    reader = Reader(tmp_path / "report.html")
    (tmp_path / "report.png").symlink_to(tmp_path / "figure.png")
    toured.succeed("report", "--out", str(tmp_path))
    assert reader.finish().lower().startswith(b"<!doctype html>")
    assert (tmp_path / "report.html").is_fifo()
    assert (tmp_path / "report.png").is_symlink()
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_save_in_a_talk(toured: Commands, tmp_path: Path) -> None:
    link, target, pipe, device = (tmp_path / name for name in ("link", "target", "pipe", "device"))
    link.symlink_to(target)
    reader = Reader(pipe)
    make_device(device)
    lines = f"мы\n/save {link}\n/save {pipe}\n/save {device}\n/load {link}\n/quit\n"
    ended = toured("sample", "--interactive", "--length", "5", stdin=lines.encode())
    assert ended.code == 0, ended
    assert ";" not in ended.stderr.partition("\n")[2], ended.stderr
    assert link.is_symlink()
    assert reader.finish() == target.read_bytes() != b""
    assert pipe.is_fifo()
    assert device.is_char_device()


# ---- the storage below


def test_nothing_reaches_a_pipe_if_the_block_fails(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "pipe")
    with contextlib.suppress(ZeroDivisionError), storage.atomic_file(tmp_path / "pipe") as file:
        file.write(b"begun")
        raise ZeroDivisionError
    storage.write_bytes(tmp_path / "pipe", b"whole")
    assert reader.finish() == b"whole"


def test_a_file_behind_a_descriptor_goes_on_where_it_was(tmp_path: Path) -> None:
    """As with `--out /dev/stdout > FILE`: what is printed before and after is kept, in order."""
    script = (
        "from pathlib import Path; from charlm import storage; print('before');"
        "storage.write_text(Path('/dev/stdout'), 'written\\n'); print('after')"
    )
    with (tmp_path / "file").open("wb") as file:
        subprocess.run([sys.executable, "-c", script], stdout=file, check=True)
    assert (tmp_path / "file").read_bytes() == b"before\nwritten\nafter\n"
    with (tmp_path / "file").open("ab") as file:
        for folder in ("/dev/fd", "/proc/self/fd", f"/proc/{os.getpid()}/fd"):
            storage.write_text(Path(folder) / str(file.fileno()), f"{folder}\n")
    assert (tmp_path / "file").read_bytes().count(b"/fd\n") == 3


def test_what_cannot_be_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StorageError, match="symbolic links"):
        storage.write_bytes(tmp_path / "a", b"x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(StorageError, match=os.strerror(errno.ENXIO)):
            storage.write_bytes(tmp_path / "socket", b"x")
    assert (tmp_path / "socket").is_socket()
    with pytest.raises(StorageError, match=os.strerror(errno.EBADF)):
        storage.write_bytes(Path("/dev/fd/999"), b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(StorageError, match=os.strerror(errno.EISDIR)):
        storage.write_bytes(tmp_path / "link", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "folder", "link", "socket"]


def test_a_reader_that_has_gone_is_a_closed_pipe() -> None:
    """It is no error of the disk: the command line ends with 141, without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        storage.write_bytes(Path(f"/dev/fd/{writing}"), b"x" * 100_000)
    os.close(writing)
