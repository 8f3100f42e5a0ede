"""Pairs of aligned files -> examples, one for each line: the texts that are read, and the texts that are written.

sources.txt, targets.txt ── line by line ──> Example(text, target)
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from charlm.errors import DataError, SettingsError
from charlm.text.examples.example import Example, ExampleCounts, ExampleSource
from charlm.text.examples.example_files import ExampleFile, describe_files, list_example_files
from charlm.text.examples.settings import AlignedSettings
from charlm.text.reading.lines import strip_end


class AlignedSource(ExampleSource):
    """The lines of all pairs of files, in order."""

    def __init__(self, settings: AlignedSettings) -> None:
        """
        Raises:
            SettingsError: files without a partner.
            SettingsError, UsageError, DataError: as `list_example_files`.
        """
        self._settings = settings
        files = list_example_files(settings, settings.type)
        self._pairs: list[tuple[ExampleFile, ExampleFile]] = []
        for split in dict.fromkeys(file.split for file in files):
            own = [file for file in files if file.split == split]
            if len(own) % 2:
                option = "--input" if split is None else f"--{split}"
                raise SettingsError(
                    f"{option} names {len(own)} files, and --source aligned reads pairs",
                    f"give a file of sources and then a file of targets: {option} SOURCES {option} TARGETS",
                )
            self._pairs += zip(own[::2], own[1::2], strict=True)

    def local_files(self) -> list[dict[str, Any]]:
        return [file.entry() for pair in self._pairs for file in pair]

    def origin(self) -> dict[str, Any]:
        return {"source": "aligned", **describe_files(self.local_files())}

    def read(self, counts: ExampleCounts) -> Iterator[Example]:
        """
        Raises:
            DataError: a file is damaged, or the files of a pair have different numbers of lines.
        """
        settings = self._settings
        for sources, targets in self._pairs:
            source_lines, target_lines = (
                file.lines(settings.encoding, settings.errors, counts) for file in (sources, targets)
            )
            for number, (source, target) in enumerate(zip_longest(source_lines, target_lines), 1):
                if source is None or target is None:
                    shorter, longer = (sources, targets) if source is None else (targets, sources)
                    raise DataError(
                        f"{shorter.path} has {number - 1:,} lines, and {longer.path} has more",
                        "give files whose lines belong together",
                    )
                counts.read += 1
                text, answer = strip_end(source), strip_end(target)
                if not text or not answer:
                    counts.dropped["no target" if text else "empty"] += 1
                    continue
                yield Example(f"{sources.name}:{number}", text, target=answer, split=sources.split)
