"""Bytes in chunks -> text in chunks, in any encoding that Python knows; errors name the offset of the bytes."""

import codecs
import encodings.aliases
import re
from collections.abc import Iterable, Iterator
from typing import Literal

from charlm.errors import DataError
from charlm.suggestions.words import nearest

OnError = Literal["strict", "replace"]

_NOT_FILE_ENCODINGS = frozenset(("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"))
_KEEP_BOM = frozenset(
    ("utf-8", "utf-7", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "gb18030")
)  # the decoders of utf-16, utf-32 and utf-8-sig remove a byte order mark themselves


def check_encoding(name: str) -> str:
    """Return `name` if it is an encoding of files.

    Raises:
        ValueError: Python does not know the encoding, or it is not one of files.
    """
    try:
        b"a".decode(name)  # unlike codecs.lookup, this accepts only text encodings, not `hex` or `zip`
    except UnicodeError:
        pass  # one byte may be too few
    except (LookupError, ValueError):
        known = sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values()})
        close = nearest(re.sub(r"[^\w]", "", name), known)
        suggestion = f'did you mean "{close}"? ' if close else ""
        raise ValueError(
            f"Python has no text encoding {name!r}; {suggestion}give one such as utf-8, cp1251, utf-16 or koi8-r"
        ) from None
    if codecs.lookup(name).name.replace("_", "-") in _NOT_FILE_ENCODINGS:
        raise ValueError(f"{name!r} is not an encoding of files; give one such as utf-8, cp1251, utf-16 or koi8-r")
    return name


INVALID_BYTES_CURE = "give its encoding, such as --set corpus.source.encoding=cp1252, or add --errors replace"


class Decoder:
    """Decodes one file, whose bytes come in chunks of any size."""

    def __init__(
        self,
        encoding: str = "utf-8",
        on_error: OnError = "strict",
        *,
        allow_truncated: bool = False,
        cure: str = INVALID_BYTES_CURE,
    ) -> None:
        """
        Args:
            encoding: Python's name of the encoding.
            on_error: `replace` puts U+FFFD for invalid bytes, and counts them.
            allow_truncated: the bytes may end inside a character, which is then left out.
            cure: what to do about invalid bytes, for the error.
        """
        self._cure = cure
        self.num_replaced = 0
        self.truncated_bytes = 0
        """Bytes of the character that was cut at the end, with `allow_truncated`."""
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)(on_error)
        # The text itself may hold U+FFFD: a second decoder, which ignores invalid bytes, counts those.
        self._ignoring_decoder = codecs.getincrementaldecoder(encoding)("ignore") if on_error == "replace" else None
        self._allow_truncated = allow_truncated

    def decode(self, name: str, chunks: Iterable[bytes]) -> Iterator[str]:
        """Yield the text, without a leading byte order mark.

        Raises:
            DataError: invalid bytes; with the name of the file and the offset.
        """
        offset, at_start = 0, codecs.lookup(self._encoding).name in _KEEP_BOM
        for chunk in chunks:
            offset += len(chunk)
            text = self._decode_chunk(name, chunk, offset)
            if at_start and text:
                text, at_start = text.removeprefix("\ufeff"), False
            if text:
                yield text
        if self._allow_truncated:
            self.truncated_bytes = len(self._decoder.getstate()[0])
        elif text := self._decode_chunk(name, b"", offset, final=True):
            yield text.removeprefix("\ufeff") if at_start else text

    def _decode_chunk(self, name: str, chunk: bytes, end: int, *, final: bool = False) -> str:
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            # error.object is the rest of earlier chunks and this chunk, so it ends where the chunk ends
            place = f"byte {error.object[error.start]:#04x} at offset {end - len(error.object) + error.start}"
            raise DataError(
                f"{name} is not {self._encoding.upper()}: {place}",
                self._cure,
            ) from error
        except UnicodeError as error:
            raise DataError(
                f"{name} is not {self._encoding.upper()}: {error}",
                "give its encoding, such as --set corpus.source.encoding=cp1252",
            ) from error
        if self._ignoring_decoder:
            self.num_replaced += text.count("\ufffd") - self._ignoring_decoder.decode(chunk, final).count("\ufffd")
        return text
