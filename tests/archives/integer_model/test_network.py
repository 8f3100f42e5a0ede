"""The network in whole numbers: C and numpy agree to the bit, lanes and threads change nothing, and it is close to the
floats."""

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from charlm.archives.integer_model import compiled
from charlm.archives.integer_model.compiled import load_network_library
from charlm.archives.integer_model.fixed_point import POWER_BITS, Int64Array
from charlm.archives.integer_model.layout import IntegerModel
from charlm.archives.integer_model.packing import pack
from charlm.archives.integer_model.parse_model import parse_model
from charlm.archives.integer_model.predictor import Network
from charlm.archives.integer_model.reference import ReferenceNetwork
from tests.archives.integer_model.models import (
    ODD,
    SUPPORTED,
    compiled_networks,
    integer_model,
    random_symbols,
)
from tests.nn.model_cases import SMALL, build

LANES, STEPS = 31, 12


def run(network: Network, symbols: Int64Array, active: tuple[int, ...] = ()) -> list[Int64Array]:
    """Return the powers of each step; in step k only the first active[k] lanes read."""
    network.start(symbols.shape[1])
    steps = zip(symbols, active or (symbols.shape[1],) * len(symbols), strict=True)
    return [network.step(symbols_L[:count]).astype(np.int64) for symbols_L, count in steps]


@pytest.mark.parametrize("case", SUPPORTED)
def test_c_and_numpy_agree_to_the_bit(case: str) -> None:
    model = integer_model(case)
    symbols = random_symbols(LANES, STEPS)
    active = (*(LANES,) * 5, *range(LANES, LANES - 5, -1), 1, LANES)
    expected = run(ReferenceNetwork(model), symbols, active)
    for name, network in compiled_networks(model).items():
        for powers, wanted in zip(run(network, symbols, active), expected, strict=True):
            np.testing.assert_array_equal(powers, wanted, err_msg=name)


@pytest.mark.parametrize("case", ["lstm-layer", "gru-layer", "residual", "dense"])
def test_sizes_that_fit_no_tile_agree_too(case: str) -> None:
    model = integer_model(case, **ODD)
    symbols = random_symbols(LANES, STEPS)
    expected = run(ReferenceNetwork(model), symbols)
    for name, network in compiled_networks(model).items():
        np.testing.assert_array_equal(run(network, symbols), expected, err_msg=name)


@pytest.mark.parametrize("case", SUPPORTED)
def test_a_lane_does_not_see_the_others(case: str) -> None:
    network = ReferenceNetwork(integer_model(case))
    symbols = random_symbols(3, STEPS)
    together = np.stack(run(network, symbols))
    for lane in range(3):
        alone = np.stack(run(network, symbols[:, lane : lane + 1]))
        np.testing.assert_array_equal(alone[:, 0], together[:, lane])


@pytest.mark.parametrize("case", SUPPORTED)
def test_probabilities_are_close_to_the_floats(case: str) -> None:
    float_model, model = build(case), integer_model(case)
    symbols = random_symbols(4, 20)
    with torch.inference_mode():
        features, _ = float_model(torch.from_numpy(symbols.T.copy()), float_model.initial_state(4))
        log_p = float_model.head.logits(features).log_softmax(-1).double().numpy()
    powers = np.stack(run(ReferenceNetwork(model), symbols), axis=1)
    q = powers / powers.sum(-1, keepdims=True)
    lost_bits = (np.exp(log_p) * (log_p - np.log(np.maximum(q, 1e-9)))).sum(-1).mean() / np.log(2)
    assert 0 <= lost_bits < 5e-3


@pytest.mark.parametrize("seed", range(3))
def test_extreme_weights_agree_too(seed: int) -> None:
    """Weights so large that gates, memories and logits reach their limits."""
    model = integer_model("lstm-2-plain")
    generator = np.random.default_rng(seed)
    arrays = {
        name: generator.integers(-127, 128, array.shape).astype(np.int8) if name.endswith(".matrix") else array
        for name, array in model.arrays.items()
    }
    for layer in range(model.description.num_layers):
        arrays[f"layers.{layer}.bias"] = np.full_like(arrays[f"layers.{layer}.bias"], 20 << 16)
    extreme = parse_model(IntegerModel(model.description, arrays).to_bytes(), "it")
    symbols = random_symbols(5, 300)
    expected = run(ReferenceNetwork(extreme), symbols)
    for name, network in compiled_networks(extreme).items():
        np.testing.assert_array_equal(run(network, symbols), expected, err_msg=name)


@pytest.mark.parametrize("path", compiled.PATHS)
def test_packing_keeps_every_weight(path: str) -> None:
    matrix = np.random.default_rng(0).integers(-128, 128, (70, 9)).astype(np.int8)
    packed, columns = pack(matrix, path)
    assert (packed.size, columns) == (128 * 12, 12)
    found = packed.astype(np.int64) - (128 if path == "vnni" else 0)
    assert found.sum() == matrix.astype(np.int64).sum()


def test_networks_step_at_once_in_several_threads() -> None:
    """The threads of the process serve one of them at a time; the others compute their lanes alone."""
    model, symbols = integer_model("lstm-layer"), random_symbols(LANES, STEPS)
    expected = run(ReferenceNetwork(model), symbols)
    networks = [network for _ in range(4) for network in compiled_networks(model).values()]
    with ThreadPoolExecutor(len(networks)) as executor:
        for found in executor.map(lambda network: run(network, symbols), networks):
            np.testing.assert_array_equal(found, expected)


_FORKS = """
import os, sys, threading
import numpy as np
from tests.archives.integer_model.models import compiled_networks, integer_model, random_symbols

network = list(compiled_networks(integer_model("lstm-layer")).values())[-1]
symbols = random_symbols(31, 12)

def run(network):
    network.start(31)
    return np.stack([network.step(each) for each in symbols])

expected, ends = run(network), threading.Event()
other = list(compiled_networks(integer_model("lstm-layer")).values())[-1]
busy = threading.Thread(target=lambda: [run(other) for _ in iter(ends.is_set, True)])
busy.start()
for _ in range(30):
    child = os.fork()
    if child == 0:
        os._exit(not np.array_equal(run(network), expected))
    failed = os.waitpid(child, 0)[1]
    if failed:
        break
ends.set()
busy.join()
sys.exit(bool(failed))
"""


@pytest.mark.skipif(load_network_library() is None, reason="no C compiler here")
def test_a_child_process_computes_though_a_thread_of_its_parent_was_busy() -> None:
    arguments = [sys.executable, "-W", "ignore", "-c", _FORKS]
    subprocess.run(arguments, cwd=Path(__file__).parents[3], check=True, timeout=120)


def test_a_path_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    library = load_network_library()
    if library is None:
        pytest.skip("no C compiler here")
    monkeypatch.setenv("CHARLM_INTEGER_PATH", "plain")
    assert compiled.chosen_path(library) == "plain"
    monkeypatch.delenv("CHARLM_INTEGER_PATH")
    assert compiled.chosen_path(library) == compiled.available_paths(library)[-1]


def test_the_c_code_has_no_undefined_behaviour(tmp_path: Path) -> None:
    """The same steps with a library that ends the process at an overflow, a wild shift or a wild address."""
    source = Path(compiled.__file__).with_name("network.c")
    library = tmp_path / "checked.so"
    flags = ["-O1", "-march=native", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-fPIC", "-shared"]
    try:
        built = subprocess.run(["cc", *flags, "-o", library, source], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no C compiler here")
    if built.returncode:
        pytest.skip("the compiler has no sanitizer")
    program = (
        "import ctypes, sys; from tests.archives.integer_model import test_network as t; "
        "t.run_checked(ctypes.CDLL(sys.argv[1]))"
    )
    found = subprocess.run([sys.executable, "-c", program, library], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def run_checked(library: ctypes.CDLL) -> None:
    """Step networks of every kind with a library, by every path."""
    compiled.declare(library)
    for case in ("rnn-layer", "gru-layer", "lstm-layer", "lstm-coupled", "noisy", "residual", "dense", "token-context"):
        for path in compiled.available_paths(library):
            powers = run(compiled.CompiledNetwork(integer_model(case), library, path, 1), random_symbols(7, 3))
            assert powers[-1].max() == 1 << POWER_BITS
            assert powers[-1].shape == (7, SMALL.size)
