"""N-grams of words that the vocabulary does not know. They come as bytes, and are hashed when the word has ended.

    inputs_BT, state ──> the bytes before </spell> ──n-grams of characters──> hashes, to be looked up

All words of a chunk are processed at once, in integers. `charlm.vocab.base.ngram_hash` defines the hash.

B batch, T time, S bytes kept of a word, W words, F bytes of a word with its marks.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from charlm.vocab.base import HASH_BASE

MAX_WORD_BYTES = 64
"""Bytes kept of a word. The state has a fixed size, so only the first bytes of a longer word are used."""

HASH_BASE_INVERSE = pow(HASH_BASE, -1, 2**64)
"""Modulo 2**64."""


class ByteRuns(NamedTuple):
    """The bytes of words that are spelled in byte tokens: bytes_WS, zero beyond length_W."""

    bytes_WS: Tensor
    length_W: Tensor


def empty_byte_runs(batch_size: int, device: torch.device) -> ByteRuns:
    zeros = torch.zeros(batch_size, MAX_WORD_BYTES, dtype=torch.int64, device=device)
    return ByteRuns(zeros, zeros[:, 0].clone())


def gather_byte_runs(bytes_BT: Tensor, carried: ByteRuns, rows_W: Tensor, times_W: Tensor) -> ByteRuns:
    """Return the run of bytes that ends just before each (row, time). A time may be T, the end of the chunk.

    Args:
        bytes_BT: 0..255 for a token that is a byte, any other number for other tokens.
        carried: the run of each row that had not ended when the chunk began.
    """
    num_steps = bytes_BT.shape[1]
    steps_T = torch.arange(num_steps, device=bytes_BT.device)
    carried_start_B1 = -carried.length_W[:, None]  # a carried run began before the chunk
    is_byte_BT = (bytes_BT >= 0) & (bytes_BT <= 255)
    starts = (
        torch.cat([carried_start_B1, torch.where(is_byte_BT, carried_start_B1, steps_T + 1)], dim=1)
        .cummax(dim=1)
        .values
    )
    start_W = starts[rows_W, times_W]
    length_W = (times_W - start_W).clamp(max=MAX_WORD_BYTES)
    positions_S = torch.arange(MAX_WORD_BYTES, device=bytes_BT.device)
    times_WS = start_W[:, None] + positions_S
    chunk = torch.nn.functional.pad(bytes_BT, (0, 1))  # an empty chunk needs a column for the indices
    in_chunk_WS = chunk[rows_W[:, None], times_WS.clamp(0, num_steps)]
    bytes_WS = torch.where(times_WS < 0, carried.bytes_WS[rows_W], in_chunk_WS)
    return ByteRuns(torch.where(positions_S < length_W[:, None], bytes_WS, 0), length_W)


def hash_ngrams(words: ByteRuns, boundary: tuple[int, ...], n: int) -> tuple[Tensor, Tensor]:
    """Return the hashes of the n-grams of each word with its marks, shape W, F, and which of them are valid.

    A word of fewer than n characters, including its marks, is a single n-gram. A character is a byte and the
    continuation bytes after it, so invalid UTF-8 has n-grams too.
    """
    num_boundary_bytes = len(boundary)
    width = MAX_WORD_BYTES + 2 * num_boundary_bytes
    device = words.length_W.device
    positions_F = torch.arange(width, device=device)
    framed_length_W1 = words.length_W[:, None] + 2 * num_boundary_bytes
    framed_WF = torch.nn.functional.pad(words.bytes_WS, (num_boundary_bytes, num_boundary_bytes))
    for index, byte in enumerate(boundary):
        closing_WF = positions_F == framed_length_W1 - num_boundary_bytes + index
        framed_WF = torch.where(closing_WF | (positions_F == index), byte, framed_WF)
    inside_WF = positions_F < framed_length_W1

    terms_WF = torch.where(inside_WF, (framed_WF + 1) * powers(HASH_BASE, width, device), 0)
    sums = torch.nn.functional.pad(terms_WF.cumsum(1), (1, 0))  # sums[:, k]: the hash of the first k bytes

    starts_character_WF = inside_WF & (framed_WF & 0xC0 != 0x80)
    starts_character_WF[:, :1] |= inside_WF[:, :1]  # the first byte always begins a character
    character_index_WF = starts_character_WF.cumsum(1) - 1
    num_characters_W1 = starts_character_WF.sum(1, keepdim=True)
    character_starts = framed_length_W1.repeat(
        1, width + n + 1
    )  # where each character begins; after the last character, where the word ends
    discard_column = width + n
    character_starts.scatter_(
        1,
        torch.where(starts_character_WF, character_index_WF, discard_column),
        positions_F.expand_as(character_index_WF),
    )

    from_WF, to_WF = character_starts[:, :width], character_starts[:, n : n + width]
    hashes_WF = (sums.gather(1, to_WF) - sums.gather(1, from_WF)) * powers(HASH_BASE_INVERSE, width + 1, device)[
        from_WF
    ]
    return hashes_WF, (positions_F + n <= num_characters_W1) | (positions_F == 0)


def powers(base: int, count: int, device: torch.device) -> Tensor:
    """Return base**0, base**1, ... modulo 2**64, as int64."""
    factors = torch.full((count,), base - 2**64 if base >= 2**63 else base, device=device)
    factors[:1] = 1
    return factors.cumprod(0)
