"""`charlm compress` as a baseline: the size of an archive of the split, without the model and with it.

split ──split_bytes──> UTF-8, a byte for each <eod> ──compress──> bytes of the archive
"""

import math
import time
from collections.abc import Iterator

from charlm.archives.compress import compress
from charlm.data.corpus import Corpus
from charlm.evaluation.baselines.result import BaselineResult, OnProgress, score_split
from charlm.evaluation.baselines.settings import ArchiveSettings
from charlm.evaluation.baselines.split_text import split_bytes
from charlm.workflows.compress import embedded_files, open_model
from charlm.workflows.load_run import find_checkpoint_of


class ArchiveBaseline:
    """The size of an archive of the split by a run: the text alone, and with the model that decodes it.

    Raises:
        UsageError: there is no such run, or its model has no integer form.
    """

    def __init__(self, settings: ArchiveSettings) -> None:
        self._num_lanes = settings.lanes
        self._directory, self._run = find_checkpoint_of(settings.run, None)
        self._model = open_model(self._directory, self._run)

    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        name = f"archive by {self._model.name}"
        stream = corpus.open(split)
        num_split_bytes = stream.count("bytes")
        done = 0.0

        def on_bytes(num_bytes: float) -> None:
            nonlocal done
            done += num_bytes
            on_progress(name, min(int(done), num_split_bytes), num_split_bytes)

        started = time.monotonic()
        source = _ChunkReader(split_bytes(corpus, split))
        found = compress(source, _Discard(), self._model, on_bytes, num_lanes=self._num_lanes, verify=False)
        model_bytes = sum(path.stat().st_size for path in embedded_files(self._directory).values())
        with_model = found.archive_bytes + model_bytes

        def result(label: str, num_bytes: int, content: str) -> BaselineResult:
            return BaselineResult(
                name=label,
                description=f"charlm compress, {found.num_lanes} lanes: {content}",
                score=score_split(num_bytes * 8 * math.log(2), stream),
                seconds=time.monotonic() - started,
                uses_training_text=False,
            )

        yield result(name, found.archive_bytes, "the split, for those who have the model")
        yield result(f"{name}, with model", with_model, f"the split and the {model_bytes:,} bytes of the model")


class _ChunkReader:
    """Chunks of bytes as a file that is read in pieces of any size."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = bytearray()

    def read(self, size: int, /) -> bytes:
        while len(self._rest) < size and (chunk := next(self._chunks, b"")):
            self._rest += chunk
        content = bytes(self._rest[:size])
        del self._rest[:size]
        return content


class _Discard:
    def write(self, content: bytes, /) -> None:
        """Drop the content: the archive's writer counts it."""
