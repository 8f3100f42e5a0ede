"""The range coder beside that of constriction, which has the same words: the codes agree but for their ends."""

from pathlib import Path

import numpy as np
import pytest

from charlm.archives import range_coder
from charlm.archives.predictor import TOTAL
from tests.export.peers import run_peer

_SCRIPT = """
import sys
import constriction, numpy as np
given = np.load(sys.argv[1])
encoder = constriction.stream.queue.RangeEncoder()
encoder.encode(given["symbols"], constriction.stream.model.Uniform(), given["sizes"])
encoder.get_compressed().astype(">u4").tofile(sys.argv[2])
"""


@pytest.mark.peers
@pytest.mark.parametrize("largest", [3, 300, 1 << 16])
def test_codes_agree(largest: int, tmp_path: Path) -> None:
    """Uniform distributions of changing sizes; the last symbol of each, which has the remainder, comes often."""
    chance = np.random.default_rng(largest)
    sizes_N = chance.integers(2, largest, 20_000, endpoint=True)
    symbols_N = np.where(chance.random(20_000) < 0.3, sizes_N - 1, (chance.random(20_000) * sizes_N).astype(np.int64))
    np.savez(tmp_path / "given.npz", symbols=symbols_N.astype(np.int32), sizes=sizes_N.astype(np.int32))
    run_peer("constriction", _SCRIPT, tmp_path / "given.npz", tmp_path / "code", folder=tmp_path)
    theirs = (tmp_path / "code").read_bytes()
    share_N = TOTAL // sizes_N
    low_N = share_N * symbols_N
    frequency_N = np.where(symbols_N == sizes_N - 1, TOTAL - low_N, share_N)
    ours = range_coder.encode(low_N.astype(np.uint32), frequency_N.astype(np.uint32))
    assert ours[:-4] == theirs[: len(ours) - 4]
    assert len(ours) <= len(theirs)
    decoder = range_coder.open_decoder(theirs)
    for size, symbol in zip(sizes_N[:2000].tolist(), symbols_N[:2000].tolist(), strict=True):
        frequency_V = np.full(size, TOTAL // size, dtype=np.uint32)
        frequency_V[-1] = TOTAL - TOTAL // size * (size - 1)
        assert decoder.step(frequency_V[None]).tolist() == [symbol]
