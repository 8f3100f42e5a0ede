"""States after prompts: the longest beginning is found, the least recently used go first, and memory is bounded."""

import mmap
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.sampling.prime import PrimedState
from charlm.serving.batching.prompt_cache import PromptCache
from charlm.vocab.base import IntArray
from charlm.vocab.char import CharVocab
from tests.serving.served import make_model, start_of

VOCAB = CharVocab("ab")
START, OTHER = (start_of(make_model(name, VOCAB)) for name in ("one", "other"))
BYTES = mmap.PAGESIZE + 1024  # of an entry


def primed(number: int) -> PrimedState:
    return PrimedState(torch.full((1, 100), float(number)), (torch.zeros(1, 50),))


def ids(text: str) -> IntArray:
    return np.array([ord(character) for character in text])


def any_length(length: int) -> bool:
    del length
    return True


def find(cache: PromptCache, text: str) -> int | None:
    """The number of ids of the state that is found."""
    found = cache.find(START, ids(text), any_length)
    return None if found is None else found.num_ids


def test_the_longest_beginning_is_found() -> None:
    cache = PromptCache(10**6)
    for number, text in enumerate(("a", "abc", "abd", "abcde")):
        cache.keep(START, ids(text), primed(number))
    assert find(cache, "abcd") == 3
    assert find(cache, "abcdef") == 5
    assert find(cache, "abcde") == 5
    assert find(cache, "ax") == 1
    assert find(cache, "b") is None
    found = cache.find(START, ids("abd"), any_length)
    assert found is not None
    assert found.primed.logits_1V[0, 0] == 2


def test_only_usable_lengths_are_found() -> None:
    cache = PromptCache(10**6)
    for text in ("ab", "abc", "abcd"):
        cache.keep(START, ids(text), primed(0))
    found = cache.find(START, ids("abcde"), lambda length: length % 2 == 1)
    assert found is not None
    assert found.num_ids == 3


def test_models_do_not_share_states() -> None:
    cache = PromptCache(10**6)
    cache.keep(OTHER, ids("ab"), primed(0))
    cache.keep(replace(START, number=1), ids("ab"), primed(0))
    assert find(cache, "ab") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = PromptCache(3 * BYTES)
    for text in ("a", "b", "c"):
        cache.keep(START, ids(text), primed(0))
    assert find(cache, "a") == 1
    cache.keep(START, ids("b"), primed(0))
    cache.keep(START, ids("d"), primed(0))
    assert [text for text in "abcd" if find(cache, text)] == ["a", "b", "d"]


def test_a_state_larger_than_the_memory_is_not_kept() -> None:
    cache = PromptCache(BYTES - 1)
    cache.keep(START, ids("a"), primed(0))
    assert (len(cache), cache.num_bytes, find(cache, "a")) == (0, 0, None)


@given(st.lists(st.text("ab", min_size=1, max_size=6), max_size=40), st.integers(0, 6))
def test_what_is_found_was_kept_and_memory_is_bounded(texts: list[str], room: int) -> None:
    cache, kept = PromptCache(room * BYTES), list[str]()
    for text in texts:
        found = find(cache, text)
        expected = max((len(known) for known in kept if text.startswith(known)), default=None)
        assert found == expected
        if found is not None:
            kept.append(kept.pop(kept.index(text[:found])))
        cache.keep(START, ids(text), primed(0))
        kept = [known for known in kept if known != text] + [text]
        kept = kept[max(0, len(kept) - room) :]
        assert len(cache) == len(kept)
        assert cache.num_bytes == len(kept) * BYTES <= room * BYTES


def test_a_kept_state_is_a_copy_with_the_same_numbers() -> None:
    generator = torch.Generator().manual_seed(0)
    state = (
        torch.randn(1, 7, generator=generator),
        torch.arange(3)[None],
        torch.zeros(1, 0, dtype=torch.int64),
        torch.randn(1, 2, 3, dtype=torch.float64, generator=generator),
        torch.tensor([[True]]),
    )
    given_state = PrimedState(torch.randn(1, 5, generator=generator), state)
    expected = [tensor.clone() for tensor in (given_state.logits_1V, *state)]
    cache = PromptCache(10**6)
    cache.keep(START, ids("ab"), given_state)
    for tensor in (given_state.logits_1V, *state):
        tensor.zero_()
    found = cache.find(START, ids("ab"), any_length)
    assert found is not None
    for tensor, wanted in zip((found.primed.logits_1V, *found.primed.state), expected, strict=True):
        assert tensor.dtype == wanted.dtype
        assert torch.equal(tensor, wanted)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_kept_states_leave_no_holes_in_the_memory_of_the_network() -> None:
    """As a server reads prompts: large blocks, then a small state that stays."""
    program = """
import numpy as np, torch
from charlm.sampling.prime import PrimedState
from charlm.serving.batching.prompt_cache import PromptCache
from tests.serving.batching.test_prompt_cache import START

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20

cache, state, sizes = PromptCache(1 << 28), torch.zeros(16, 1000), []
for number in range(150):
    blocks = [torch.zeros(32, 16, size) for size in (2048, 512, 2048, 512)]
    state = blocks[1][-1] + 1
    cache.keep(START, np.array([number, 1, 2]), PrimedState(state[:1, :200].clone(), (state[:1].clone(),)))
    sizes.append(resident())
print(sizes[-1] - sizes[20])
"""
    folder = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30
