"""The files of a source of examples, each with its split and its hash.

settings: input, or train, valid and test ──> ExampleFile ──read──> text, lines; an error if the file changes meanwhile
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import DataError, SettingsError, UsageError
from charlm.storage import sha256, storage_errors
from charlm.text.examples.example import ExampleCounts, GivenSplit, digest_entries
from charlm.text.examples.settings import ExampleFilesSettings
from charlm.text.reading.chunks import read_chunks
from charlm.text.reading.decoding import INVALID_BYTES_CURE, Decoder, OnError
from charlm.text.reading.inputs import STDIN, check_input, has_scheme, list_files
from charlm.text.reading.lines import split_lines

MOST_NAMED = 1_000
"""Files that corpus.json lists; of more files it has only the number."""


@dataclass(frozen=True, slots=True)
class ExampleFile:
    """A file at the time when it was hashed."""

    name: str
    """The path relative to its input, with the split before it if that is given."""
    relative: Path
    """The path relative to its input."""
    path: Path
    split: GivenSplit | None
    num_bytes: int
    modified: int
    """Time in nanoseconds, to notice a later change; it is not stored."""
    sha256: str
    invalid_bytes_cure: str = INVALID_BYTES_CURE
    """What to do about bytes that are not of the encoding, for the error."""

    def entry(self) -> dict[str, Any]:
        """Return the entry of corpus.json."""
        return {"name": self.name, "bytes": self.num_bytes, "sha256": self.sha256}

    def texts(self, encoding: str, on_error: OnError, counts: ExampleCounts) -> Iterator[str]:
        """Yield the text in fragments, unpacked and decoded.

        Raises:
            DataError: the file is damaged, not text, not in this encoding, or has changed since it was hashed.
        """
        decoder = Decoder(encoding, on_error, cure=self.invalid_bytes_cure)
        yield from decoder.decode(str(self.path), read_chunks(self.path))
        if decoder.num_replaced:
            how_often = f"{decoder.num_replaced:,} times" if decoder.num_replaced > 1 else "once"
            counts.notes.append(
                f"{self.name}: bytes that are not {encoding.upper()} were replaced by U+FFFD {how_often}"
            )
        self.check_unchanged()

    def lines(self, encoding: str, on_error: OnError, counts: ExampleCounts) -> Iterator[str]:
        """Yield the lines with their ends; raises as `texts`."""
        return split_lines(self.texts(encoding, on_error, counts))

    def check_unchanged(self) -> None:
        """
        Raises:
            DataError: the file has changed since it was hashed.
        """
        if _size_and_mtime(self.path) != (self.num_bytes, self.modified):
            raise DataError(f"{self.path} changed while it was read", "run the same command again")


def list_example_files(settings: ExampleFilesSettings, kind: str) -> list[ExampleFile]:
    """Return the files of all splits, in order.

    Args:
        kind: the `type` of the source, for messages.

    Raises:
        SettingsError: there is no input, one split is missing, or a file is in two splits.
        UsageError: an input does not exist.
        DataError: the name of a file is not UTF-8.
    """
    given: dict[GivenSplit | None, tuple[str, ...]] = {
        None: settings.input, "train": settings.train, "valid": settings.valid, "test": settings.test,
    }  # fmt: skip
    _check_given(given, kind)
    files: list[ExampleFile] = []
    seen: dict[Path, str] = {}
    for split, inputs in given.items():
        for user_path in inputs:
            if has_scheme(user_path):
                raise UsageError(
                    f"{user_path} is a URL, but --source {kind} reads files", "download it and give the file"
                )
            check_input(user_path, kind)
        where = "--input" if split is None else f"--{split}"
        for relative, path in list_files(inputs):
            other = seen.setdefault(path.resolve(), where)
            if other != where:
                raise SettingsError(f"{path} is in {other} and in {where}", "give each file to one split")
            name = relative if split is None else f"{split}/{relative}"
            files.append(ExampleFile(name, Path(relative), path, split, *_size_and_mtime(path), sha256(path)))
    if not files:
        raise SettingsError(f"--source {kind} has no files: the folder is empty", "give another --input")
    return files


def _check_given(given: Mapping[GivenSplit | None, tuple[str, ...]], kind: str) -> None:
    named = [f"--{split}" for split, inputs in given.items() if split is not None and inputs]
    if any(STDIN in inputs for inputs in given.values()):
        raise SettingsError(f"--source {kind} does not read standard input", "give files")
    if given[None] and named:
        raise SettingsError(f"--input and {named[0]} both give examples", "leave one of them out")
    if not given[None] and not named:
        raise SettingsError(
            f"--source {kind} has no input", "give files with --input PATH, or with --train, --valid and --test"
        )
    missing = [name for name in ("--train", "--valid") if named and name not in named]
    if missing:
        raise SettingsError(
            f"{' and '.join(named)} need {' and '.join(missing)}",
            "give these files too, or all files with --input, which charlm splits",
        )


def describe_files(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what corpus.json says about files: name, size and hash of each, or the number of very many."""
    summary = {"files": entries} if len(entries) <= MOST_NAMED else {"num_files": len(entries)}
    return {**summary, "fingerprint": digest_entries(entries)}


def _size_and_mtime(path: Path) -> tuple[int, int]:
    with storage_errors(path, "read"):
        status = path.stat()
    return status.st_size, status.st_mtime_ns
