"""Integer models of every language model that has one: those of tests/nn/model_cases.py, small and random."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from charlm.archives.integer_model.compiled import (
    CompiledNetwork,
    available_paths,
    load_network_library,
)
from charlm.archives.integer_model.convert import convert_model
from charlm.archives.integer_model.layout import IntegerModel
from charlm.archives.integer_model.predictor import Network
from charlm.archives.integer_model.supported import find_unsupported
from tests.nn.model_cases import CASES, SMALL, build, model_settings

SUPPORTED = tuple(
    case for case in CASES if find_unsupported(model_settings(case)) is None and not case.endswith(("-torch", "-fused"))
)
"""Without those that differ from others only in what runs them in training."""
ODD: dict[str, int] = {"hidden_size": 70}
"""A size that is no multiple of any tile."""


@cache
def integer_model(case: str, hidden_size: int = 8) -> IntegerModel:
    """Return the integer form of a case, with further units if asked for."""
    return convert_model(build(case, hidden_size=hidden_size), SMALL.eod_id, "ab" * 32)


def compiled_networks(model: IntegerModel) -> dict[str, Network]:
    """Return the network in C by every path of this machine, on one thread and on three."""
    library = load_network_library()
    if library is None:
        pytest.skip("no C compiler here")
    return {
        f"{path}, {threads} threads": CompiledNetwork(model, library, path, threads, macs_per_thread=1)
        for path in available_paths(library)
        for threads in (1, 3)
    }


def random_symbols(num_lanes: int, num_steps: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return symbols (num_steps, num_lanes)."""
    return np.random.default_rng(seed).integers(0, SMALL.size, (num_steps, num_lanes))
