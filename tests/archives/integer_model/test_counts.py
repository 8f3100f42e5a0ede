"""Frequencies and counts of the text so far: C and Python agree to the bit, and counts learn what repeats."""

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.archives.integer_model import compiled_counts
from charlm.archives.integer_model.compiled_counts import CompiledCounts, load_counts_library
from charlm.archives.integer_model.counts import ReferenceCounts
from charlm.archives.integer_model.description import CountsDescription
from charlm.archives.integer_model.frequencies import share_out
from charlm.archives.integer_model.predictor import Mixer
from charlm.archives.integer_model.training_tables import UNKNOWN, Table, make_tables, open_tables
from charlm.archives.predictor import TOTAL
from tests.archives.integer_model.ngram_models import V, training_tables

LANES = 7


def table_sizes() -> tuple[int, ...]:
    return tuple(len(table.keys) for table in training_tables().orders)


COUNTS = {
    "none": None,
    "few slots": CountsDescription(orders=(1, 2, 3, 5), slot_bits=3),
    "many": CountsDescription(orders=(1, 2, 3, 4, 5, 6, 8, 11, 16, 24), slot_bits=10),
    "tables": CountsDescription(orders=(1, 2, 3, 5, 9), slot_bits=10, table_sizes=table_sizes()),
}
Steps = list[tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]]


def reference(counts: CountsDescription | None) -> ReferenceCounts:
    return ReferenceCounts(counts, V, _tables(counts))


def compiled(counts: CountsDescription | None, library: ctypes.CDLL, threads: int) -> CompiledCounts:
    return CompiledCounts(counts, V, library, threads, _tables(counts))


def _tables(counts: CountsDescription | None) -> list[Table]:
    num_tables = 0 if counts is None else len(counts.table_sizes)
    return open_tables(make_tables(training_tables(), num_tables), num_tables)


def steps(num_steps: int, seed: int = 0) -> Steps:
    """Return powers and symbols of each step; in the last ones, fewer lanes."""
    generator = np.random.default_rng(seed)
    found: Steps = []
    for step in range(num_steps):
        lanes = LANES - 3 * (step > num_steps - 5)
        powers = np.exp2(generator.uniform(0, 30, (lanes, V))).astype(np.uint32)
        powers[np.arange(lanes), generator.integers(0, V, lanes)] = 1 << 30
        repeats = (step + np.arange(lanes) // 3) % 6
        found.append((powers, np.where(generator.random(lanes) < 0.8, repeats, generator.integers(0, V, lanes))))
    return found


def run(mixer: Mixer, work: Steps) -> list[npt.NDArray[np.uint32]]:
    """Return the frequencies of each step, and the intervals of the symbols."""
    mixer.start(LANES)
    found: list[npt.NDArray[np.uint32]] = []
    for powers, symbols in work:
        frequencies = mixer.frequencies(powers).copy()
        assert frequencies.min() >= 1
        assert (frequencies.sum(axis=1, dtype=np.int64) == TOTAL).all()
        low, own = mixer.intervals(symbols)
        mixer.update(symbols)
        mixer.read(symbols)
        found += [frequencies, low, own]
    return found


@pytest.mark.parametrize("name", COUNTS)
def test_c_and_python_agree_to_the_bit(name: str) -> None:
    library = load_counts_library()
    if library is None:
        pytest.skip("no C compiler here")
    work = steps(120)
    expected = run(reference(COUNTS[name]), work)
    for threads in (1, 3):
        for found, wanted in zip(run(compiled(COUNTS[name], library, threads), work), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["few slots", "many", "tables"])
def test_what_repeats_becomes_cheap(name: str) -> None:
    """A network that knows nothing, and lanes that all repeat six symbols."""
    mixer = reference(COUNTS[name])
    mixer.start(LANES)
    flat = np.full((LANES, V), 1 << 30, dtype=np.uint32)
    bits: list[float] = []
    for step in range(60):
        symbols = np.full(LANES, step % 6)
        frequencies = mixer.frequencies(flat)
        bits.append(float(24 - np.log2(frequencies[0, step % 6])))
        mixer.update(symbols)
        mixer.read(symbols)
    assert bits[0] == pytest.approx(np.log2(V), abs=0.05)
    assert max(bits[-6:]) < 0.5


def test_starting_again_forgets_everything() -> None:
    mixer = reference(COUNTS["many"])
    work = steps(10)
    for first, second in zip(run(mixer, work), run(mixer, work), strict=True):
        np.testing.assert_array_equal(first, second)


@given(st.lists(st.integers(1, 2**30 + 1), min_size=2, max_size=50), st.integers(0, 2**32), st.data())
def test_shares_are_those_of_the_sum(powers: list[int], remaining: int, data: st.DataObject) -> None:
    """Some symbols have given probabilities; the others divide the rest as the network says."""
    num_shares = data.draw(st.integers(0, len(powers) - 1))
    shares = {symbol: ((1 << 32) - remaining) // max(1, num_shares) for symbol in range(num_shares)}
    remaining = (1 << 32) - sum(shares.values())
    others = powers[num_shares:]
    frequencies = share_out(np.array(powers), sum(others), remaining, shares)
    assert frequencies.min() >= 1
    assert frequencies.sum(dtype=np.int64) == TOTAL
    expected = [*shares.values(), *(power * remaining / sum(others) for power in others)]
    difference = frequencies - np.array(expected) * (TOTAL - len(powers)) / (1 << 32)
    difference[frequencies.argmax()] = 0  # which has what is left over
    assert (np.abs(difference) < 2.1).all()


def test_the_c_code_has_no_undefined_behaviour(tmp_path: Path) -> None:
    """The same steps with a library that ends the process at an overflow, a wild shift or a wild address."""
    source = Path(compiled_counts.__file__).with_name("counts.c")
    library = tmp_path / "checked.so"
    flags = ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-fPIC", "-shared"]
    try:
        built = subprocess.run(["cc", *flags, "-o", library, source], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no C compiler here")
    if built.returncode:
        pytest.skip("the compiler has no sanitizer")
    program = (
        "import ctypes, sys; from tests.archives.integer_model import test_counts as t; "
        "t.run_checked(ctypes.CDLL(sys.argv[1]))"
    )
    found = subprocess.run([sys.executable, "-c", program, library], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def run_checked(library: ctypes.CDLL) -> None:
    compiled_counts.declare(library)
    for counts in COUNTS.values():
        run(compiled(counts, library, 1), steps(400))


def test_followers_are_those_of_the_training_text() -> None:
    """A context of the tables, found token by token, has the symbols and counts of the tables' own keys."""
    tables = open_tables(make_tables(training_tables(), 5), 5)
    contexts = [UNKNOWN] * 5
    for token in (0, 1, 2, 3, 4):
        longer = [table.find(context, token) for table, context in zip(tables, contexts, strict=True)]
        contexts = [token, *longer][:5]
    whole = training_tables().orders[3]
    keys = contexts[3] * V + np.arange(V)
    expected = [(key % V, count) for key, count in zip(whole.keys, whole.counts, strict=True) if key in keys]
    assert tables[3].followers(contexts[3]) == expected
    assert dict(expected)[5] == max(count for _, count in expected)


def test_training_text_makes_its_repetitions_cheap() -> None:
    """Before anything of the text was seen, the tables know it."""
    bits = {}
    for name in ("none", "tables"):
        mixer = reference(COUNTS[name])
        mixer.start(1)
        flat = np.full((1, V), 1 << 30, dtype=np.uint32)
        bits[name] = 0.0
        for step in range(12):
            bits[name] += float(24 - np.log2(mixer.frequencies(flat)[0, step % 6]))
            mixer.update(np.array([step % 6]))
            mixer.read(np.array([step % 6]))
    assert bits["tables"] < 0.7 * bits["none"]
