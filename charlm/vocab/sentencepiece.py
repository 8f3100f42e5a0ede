"""The SentencePiece vocabulary: subword pieces learned by SentencePiece, stored in vocab.model, without normalisation.

    id 0         <eod> (<unk> of the model, which it never returns because unknown text falls back to bytes)
    id 1..3      line feed, tab, "<": each a piece that never merges, so that no piece looks like a name in < >
    id 4..259    the bytes 0x00..0xFF
    then         the pieces

SentencePiece cannot represent three characters: NUL, its mark for a space (U+2581) and its mark for unknown text
(U+2585). charlm encodes these as bytes itself. Spaces occur only at the beginning of a piece, so each word can be
encoded on its own.
"""

import hashlib
import io
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import sentencepiece

from charlm import storage
from charlm.errors import DataError
from charlm.vocab.base import NUM_BYTES, IntArray, Vocab, encode_utf8
from charlm.vocab.cached_encoder import SegmentEncoder
from charlm.vocab.checks import check_distinct_characters
from charlm.vocab.line_sample import MAX_LINE_LENGTH, LineSample
from charlm.vocab.settings import SentencePieceSettings

MODEL_FILE = "vocab.model"

_SINGLE_PIECES = ("\n", "\t", "<")
_FIRST_BYTE = 1 + len(_SINGLE_PIECES)
_FIRST_PIECE = _FIRST_BYTE + NUM_BYTES
_SPACE = "\u2581"
_LINE_FEED = 1
_ALWAYS_BYTES = "\0\u2581\u2585"
_BYTES_SPLITTER = re.compile(f"({'|'.join(_ALWAYS_BYTES)})".encode())
_UNBATCHABLE = re.compile(f"[\n{_ALWAYS_BYTES}]")
_MAX_CHUNK_BYTES = 40_000
_UNKNOWN_CHARACTERS = "\ufffd\U0010ffff"
_SEGMENTS_PER_CALL = 32

_CHARACTER_COVERAGE = 0.9995  # of the sample's characters, SentencePiece's default; rarer ones are encoded as bytes
_THREADS = 8  # fixed, since floating-point sums and so the model depend on it
_MAX_MODEL_BYTES = 1 << 28


class SentencePieceVocab(Vocab):
    """One id for each piece of a SentencePiece model."""

    type: ClassVar[str] = "sentencepiece"
    eod_id = 0
    first_byte_id: int = _FIRST_BYTE  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, model: bytes, model_type: str) -> None:
        """
        Args:
            model: a serialized model that SentencePieceLearner trained.
            model_type: "unigram", "bpe" or "char".

        Raises:
            ValueError: this is not a SentencePiece model, or it was trained with other options.
        """
        self.model = model
        self.model_type = model_type
        self.processor = sentencepiece.SentencePieceProcessor()
        try:
            self.processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise ValueError("not a SentencePiece model") from error
        self.size = self.processor.get_piece_size()
        leading_pieces = [self.processor.id_to_piece(token) for token in range(min(self.size, _FIRST_PIECE))]
        if leading_pieces[1:] != [*_SINGLE_PIECES, *(f"<0x{byte:02X}>" for byte in range(NUM_BYTES))]:
            raise ValueError("a SentencePiece model that was not trained by charlm")
        probe = f" {'  '.join(self._text_of)}\u2581{_UNKNOWN_CHARACTERS}"
        if self.decode(self._encode_directly(probe, probe.encode("utf-8"))) != probe:
            raise ValueError("a SentencePiece model that changes text")

    def encode(self, text: str) -> IntArray:
        data = encode_utf8(text)
        return self._encoder.encode(text) if self.model_type == "bpe" else self._encode_directly(text, data)

    def _encode_directly(self, text: str, data: bytes) -> IntArray:
        """Encode in chunks of bounded length: scores are floating-point sums, which lose precision in a long text."""
        ids = array("i")
        has_always_bytes = any(sign in text for sign in _ALWAYS_BYTES)
        for index, part in enumerate(_BYTES_SPLITTER.split(data) if has_always_bytes else (data,)):
            if index % 2:
                ids.extend(_FIRST_BYTE + byte for byte in part)
            else:
                for chunk in _split_chunks(part):
                    ids.extend(array("i", self.processor.EncodeAsIds(chunk)))
        return np.frombuffer(ids, dtype=np.int32)

    @cached_property
    def _encoder(self) -> SegmentEncoder:
        """The cache for BPE, in which merging pairs is slower than looking a word up."""
        return SegmentEncoder(self._encode_segments)

    def _encode_segments(self, segments: list[str]) -> list[bytes]:
        """Encode many segments in one call, a line each: the overhead of a call is larger than a word's encoding."""
        batchable = [segment for segment in segments if _UNBATCHABLE.search(segment) is None]
        texts = [
            "\n".join([*batchable[start : start + _SEGMENTS_PER_CALL], ""])
            for start in range(0, len(batchable), _SEGMENTS_PER_CALL)
        ]
        ids = np.fromiter(chain.from_iterable(self.processor.Encode(texts, out_type=int, num_threads=1)), np.int32)
        ends = np.flatnonzero(ids == _LINE_FEED) * ids.itemsize
        starts = [0, *(ends[:-1] + ids.itemsize).tolist()]
        all_ids = ids.tobytes()
        encoded = (all_ids[start:end] for start, end in zip(starts, ends.tolist(), strict=False))
        return [
            next(encoded)
            if _UNBATCHABLE.search(segment) is None
            else self._encode_directly(segment, segment.encode("utf-8")).tobytes()
            for segment in segments
        ]

    @cached_property
    def _text_of(self) -> list[str]:
        pieces = [self.processor.id_to_piece(token).replace(_SPACE, " ") for token in range(_FIRST_PIECE, self.size)]
        return ["", *_SINGLE_PIECES, *[""] * NUM_BYTES, *pieces]

    def to_json(self) -> dict[str, Any]:
        model = {"bytes": len(self.model), "sha256": hashlib.sha256(self.model).hexdigest()}
        return {"model_type": self.model_type, "model": model}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "SentencePieceVocab":
        raise TypeError(f"the pieces are in {MODEL_FILE}; use load")

    @classmethod
    def load(cls, directory: Path, content: dict[str, Any]) -> "SentencePieceVocab":
        path = directory / MODEL_FILE
        if not path.is_file():
            raise DataError(f"{path} is missing", "copy the whole directory again, or create it again")
        size, digest = content["model"]["bytes"], content["model"]["sha256"]
        if not 0 < size <= _MAX_MODEL_BYTES or path.stat().st_size != size or storage.sha256(path) != digest:
            raise ValueError(f"{MODEL_FILE} does not match the size and SHA-256 in vocab.json")
        with storage.storage_errors(path, "read"):
            return cls(path.read_bytes(), content["model_type"])

    def save(self, directory: Path) -> None:
        storage.write_bytes(directory / MODEL_FILE, self.model)
        super().save(directory)


def _split_chunks(data: bytes) -> Iterator[bytes]:
    """Cut UTF-8 text into chunks of bounded length: before a space, which no piece spans, or between characters."""
    start = 0
    while len(data) - start > _MAX_CHUNK_BYTES:
        end = data.rfind(b" ", start + 1, start + _MAX_CHUNK_BYTES)
        if end < 0:
            end = start + _MAX_CHUNK_BYTES
            while data[end] & 0xC0 == 0x80:  # inside a character
                end -= 1
        yield data[start:end]
        start = end
    yield data[start:]


class SentencePieceLearner:
    """Trains a model on a sample of the lines of the training texts."""

    needs_text: ClassVar[bool] = True

    def __init__(self, settings: SentencePieceSettings) -> None:
        self._settings = settings
        self._sample = LineSample(settings.sample_characters)
        self._characters: set[str] = set()

    def add(self, text: str) -> None:
        encode_utf8(text)
        if len(self._characters) < 2:
            self._characters.update(text)
        self._sample.add(text)

    def merge(self, other: "SentencePieceLearner") -> None:
        self._characters |= other._characters
        self._sample.merge(other._sample)

    def finish(self) -> Vocab:
        lines = self._sample.lines()
        counts = Counter[str]()
        for line in lines:
            counts.update(line)
        check_distinct_characters(len(self._characters))
        to_line_feeds = str.maketrans(
            dict.fromkeys([*_SINGLE_PIECES, *_ALWAYS_BYTES, *self._rare_characters(counts)], "\n")
        )
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=(
                    part for line in lines for part in line.translate(to_line_feeds).split("\n") if part
                ),
                model_writer=model,
                model_type=self._settings.model_type,
                vocab_size=self._settings.vocab_size,
                hard_vocab_limit=False,
                character_coverage=1.0,
                byte_fallback=True,
                required_chars=_SPACE,  # otherwise, if the sample has no space, spaces would be encoded as this mark
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                user_defined_symbols=list(_SINGLE_PIECES),
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                max_sentence_length=4 * MAX_LINE_LENGTH,
                num_threads=_THREADS,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise DataError(
                f"SentencePiece cannot learn {self._settings.vocab_size:,} pieces from {counts.total():,} characters",
                "give more text, a smaller corpus.vocab.vocab_size, or another vocabulary",
            ) from error
        return SentencePieceVocab(model.getvalue(), self._settings.model_type)

    def _rare_characters(self, counts: Counter[str]) -> list[str]:
        """Return the characters of the sample that get no piece.

        Characters get pieces, most frequent first, until they cover _CHARACTER_COVERAGE of the sample or fill half of
        the vocabulary (all of it if the model type is "char").
        """
        room = self._settings.vocab_size - _FIRST_PIECE - 1  # one piece is the space
        max_pieces = room if self._settings.model_type == "char" else room // 2
        covered = 0
        ranked = sorted(counts, key=lambda character: (-counts[character], character))
        for index, character in enumerate(ranked):
            if index >= max_pieces or covered >= _CHARACTER_COVERAGE * counts.total():
                return ranked[index:]
            covered += counts[character]
        return []
