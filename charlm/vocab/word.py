"""The word vocabulary: an id for each frequent word, punctuation mark or space, UTF-8 bytes for other tokens.

id 0         <eod>
id 1..256    the bytes 0x00..0xFF
then         the tokens of the training text (see `word_tokens`), most frequent first
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from charlm.vocab.base import NUM_BYTES, IntArray, Vocab, encode_utf8
from charlm.vocab.cached_encoder import SegmentEncoder, pack_ids
from charlm.vocab.checks import check_distinct_characters, check_strings
from charlm.vocab.settings import NgramSettings, WordSettings
from charlm.vocab.word_tokens import MAX_TOKEN_LENGTH, TokenCounts, is_word, split_tokens


class WordVocab(Vocab):
    """One id for each known token."""

    type: ClassVar[str] = "word"
    eod_id = 0
    first_byte_id: int = 1  # pyright: ignore[reportIncompatibleVariableOverride]
    specials: ClassVar[tuple[str, ...]] = ()
    """Names of ids without text, which come between the bytes and the tokens."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """
        Args:
            tokens: the known tokens, each once, in the order of their ids.
        """
        if len(set(tokens)) != len(tokens) or "" in tokens:
            raise ValueError("a token is repeated or empty")
        self.tokens = tuple(tokens)
        self.first_token_id = 1 + NUM_BYTES + len(self.specials)
        self.size = self.first_token_id + len(tokens)

    @cached_property
    def _encoder(self) -> SegmentEncoder:
        codes = {token: pack_ids([number]) for number, token in enumerate(self.tokens, self.first_token_id)}
        space = codes.get(" ") or self.spell(" ")
        punctuation = {token for token in self.tokens if len(token) == 1 and not is_word(token) and not token.isspace()}

        def encode_segment(segment: str) -> bytes:
            if segment[:1] == " ":
                if (word := codes.get(segment[1:])) is not None:
                    return space + word
                # a punctuation mark is always a token by itself
                if segment[-1] in punctuation and (word := codes.get(segment[1:-1])) is not None:
                    return space + word + codes[segment[-1]]
            return b"".join([codes.get(token) or self.spell(token) for token in split_tokens(segment)])

        return SegmentEncoder(lambda segments: list(map(encode_segment, segments)))

    def encode(self, text: str) -> IntArray:
        encode_utf8(text)
        return self._encoder.encode(text)

    def spell(self, token: str) -> bytes:
        """Return the packed ids of an unknown token."""
        return pack_ids([self.first_byte_id + byte for byte in token.encode("utf-8")])

    @cached_property
    def _text_of(self) -> list[str]:
        return [""] * self.first_token_id + list(self.tokens)

    def symbol(self, token: int) -> str:
        special = token - 1 - NUM_BYTES
        return self.specials[special] if 0 <= special < len(self.specials) else super().symbol(token)

    def to_json(self) -> dict[str, Any]:
        return {"tokens": list(self.tokens)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "WordVocab":
        return cls(check_strings(content["tokens"]))


class WordLearner:
    """Counts tokens; keeps those that occur `min_count` times, at most `max_size`, the most frequent ones."""

    needs_text: ClassVar[bool] = True

    def __init__(self, settings: WordSettings | NgramSettings) -> None:
        self._settings = settings
        self.counts = TokenCounts()

    def add(self, text: str) -> None:
        self.counts.add(text)

    def merge(self, other: "WordLearner") -> None:
        self.counts.merge(other.counts)

    def frequent_tokens(self) -> list[str]:
        """Return the tokens that get an id, most frequent first.

        Raises:
            DataError: the texts have fewer than two different characters.
        """
        check_distinct_characters(self.counts.distinct_characters)
        frequent = self.counts.most_frequent(min_count=self._settings.min_count)
        return [token for token, _ in frequent if len(token) <= MAX_TOKEN_LENGTH][: self._settings.max_size]

    def finish(self) -> Vocab:
        return WordVocab(self.frequent_tokens())
