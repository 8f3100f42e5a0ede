"""The step of the network in C: `network.c` and its headers, with the numbers of a model laid out for it.

L lanes, V vocabulary, G gates, K columns of a matrix.
"""

import ctypes
import functools
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.fixed_point import ONE, Int64Array, wide_shift
from charlm.archives.integer_model.layout import Array, IntegerModel, Product, ProductGroup
from charlm.archives.integer_model.packing import pack, pair_entries
from charlm.archives.integer_model.power_reader import PowerReader
from charlm.c_library import load_c_library

_SOURCE = Path(__file__).with_name("network.c")
_HEADERS = tuple(
    _SOURCE.with_name(f"{name}.h")
    for name in (
        "fixed_point",
        "integer_network",
        "integer_products",
        "integer_cells",
        "integer_embedding",
        "work_sharing",
    )
)
_FLAGS = ("-O3", "-march=native", "-fPIC", "-shared", "-pthread")
PATHS = ("plain", "avx2", "vnni")
"""How products are computed, by number; each needs the processor's instructions, and gives the same bits."""
_CELLS = ("rnn", "gru", "lstm")
_MAX_FIRST_GATES = 1 << 24
"""So many numbers of 32 bits, 64 MiB, are computed once in place of the products with the vectors of tokens."""
_MACS_PER_THREAD = 1 << 23
"""Multiply-adds of a step for which a further thread is woken: about 70 microseconds with vnni."""
_pointer, _int = ctypes.c_void_p, ctypes.c_int64


class _Product(ctypes.Structure):
    _fields_ = [("weights", _pointer), ("multipliers", _pointer), *((n, _int) for n in ("source", "columns", "shift"))]


class _Group(ctypes.Structure):
    _fields_ = [
        ("products", _pointer),
        ("gain", _pointer),
        *((name, _int) for name in ("num_products", "rows", "num_norms")),
        ("norm_sizes", _int * 2),
        ("epsilon", _int),
    ]


class _Layer(ctypes.Structure):
    _fields_ = [
        ("input", _Group),
        ("recurrent", _Group),
        *((name, _pointer) for name in ("bias", "candidate_bias", "memory_gain", "memory_bias", "hidden", "memory")),
        ("sum_shift", _int),
    ]


class _Network(ctypes.Structure):
    _fields_ = [
        *(
            (name, _pointer)
            for name in (
                *("sigmoid", "tanh", "powers", "tokens", "context", "orders"),
                *("layers", "head_bias", "first_gates", "history"),
            )
        ),
        ("head", _Group),
        *(
            (name, _int)
            for name in (
                *("num_orders", "buckets", "longest", "vocab_size", "embedding_size", "hidden_size", "num_layers"),
                *("cell", "coupled", "zoneout", "zoneout_hidden", "memory_epsilon", "path"),
            )
        ),
    ]


@functools.cache
def load_network_library() -> ctypes.CDLL | None:
    """Return the compiled library, or None if it cannot be compiled or CHARLM_COMPILE is 0."""
    library = load_c_library([_SOURCE], _FLAGS, headers=_HEADERS)
    if library is None:
        return None
    assert library.network_size() == ctypes.sizeof(_Network), "the structures of network.c have other fields"
    declare(library)
    return library


def declare(library: ctypes.CDLL) -> None:
    """Name the types of the functions' arguments."""
    library.scratch_size.restype = ctypes.c_long
    library.step.restype = None
    library.step.argtypes = [_pointer, ctypes.c_long, *[_pointer] * 2, ctypes.c_long, *[_pointer] * 3]


def available_paths(library: ctypes.CDLL) -> tuple[str, ...]:
    """Return the names of the paths that this machine can take; the last is the fastest."""
    return PATHS[: library.best_path() + 1]


def chosen_path(library: ctypes.CDLL) -> str:
    """Return the fastest path, or the one that CHARLM_INTEGER_PATH names if this machine has it."""
    paths = available_paths(library)
    wanted = os.environ.get("CHARLM_INTEGER_PATH", "")
    return wanted if wanted in paths else paths[-1]


class CompiledNetwork:
    """The states of all lanes, and their steps; like `ReferenceNetwork`."""

    def __init__(
        self,
        model: IntegerModel,
        library: ctypes.CDLL,
        path: str,
        threads: int,
        macs_per_thread: int = _MACS_PER_THREAD,
    ) -> None:
        """
        Args:
            path: one of `available_paths`.
            threads: at most so many threads share the lanes.
            macs_per_thread: a step with fewer multiply-adds than this for each thread has fewer threads.
        """
        macs = sum(array.size for name, array in model.arrays.items() if name.endswith(".matrix"))
        self._lanes_per_thread = -(-macs_per_thread // macs)
        self._model, self._library, self._path, self._threads = model, library, path, threads
        self._reader: PowerReader | None = None
        self._kept: list[object] = []  # what the structures point to
        self._network = self._describe()
        self._scratch = np.zeros(threads * self._library.scratch_size(ctypes.byref(self._network)), dtype=np.uint8)
        self._fill_first_gates()
        self.start(0)

    def start(self, num_lanes: int) -> None:
        """Forget all symbols; the lanes have read nothing."""
        description = self._model.description
        shape = description.num_layers, num_lanes, description.hidden_size
        self._hidden, self._memory = np.zeros(shape, dtype=np.int16), np.zeros(shape, dtype=np.int32)
        self._history = np.full((num_lanes, max(description.context_orders, default=1)), -1, dtype=np.int64)
        self._powers = np.zeros((num_lanes, description.vocab_size), dtype=np.uint32)
        self._network.history = self._history.ctypes.data
        for layer, hidden, memory in zip(self._layers, self._hidden, self._memory, strict=True):
            layer.hidden, layer.memory = hidden.ctypes.data, memory.ctypes.data

    def connect(self, reader: PowerReader) -> bool:
        """Let a step call a function for each group of lanes, on the thread that computed it."""
        self._reader = reader
        return True

    def step(self, symbols_L: Int64Array) -> npt.NDArray[np.uint32]:
        """Let the first lanes read a symbol each; return 2**(logit - largest logit), 30 bits after the point, (L, V).

        The array is overwritten by the next step.
        """
        symbols_L = np.ascontiguousarray(symbols_L, dtype=np.int64)
        num_lanes = len(symbols_L)
        assert num_lanes <= len(self._powers), "more symbols than lanes"
        self._library.step(
            ctypes.byref(self._network),
            max(1, min(self._threads, num_lanes // self._lanes_per_thread)),
            self._scratch.ctypes.data,
            symbols_L.ctypes.data,
            num_lanes,
            self._powers.ctypes.data,
            *(self._reader[:2] if self._reader else (None, None)),
        )
        return self._powers[:num_lanes]

    def _fill_first_gates(self) -> None:
        """Compute what the first layer gets from each token, if that depends on nothing else."""
        description = self._model.description
        size = description.vocab_size * description.num_gates
        if description.context_orders or size > _MAX_FIRST_GATES:
            return
        gates = np.zeros(size, dtype=np.int32)
        self._library.fill_first_gates(
            ctypes.byref(self._network), ctypes.c_void_p(self._scratch.ctypes.data), ctypes.c_void_p(gates.ctypes.data)
        )
        self._network.first_gates = self._address(gates)

    def _describe(self) -> _Network:
        description, arrays = self._model.description, self._model.arrays
        self._layers = (_Layer * description.num_layers)(*map(self._describe_layer, range(description.num_layers)))
        orders = np.array(description.context_orders, dtype=np.int64)
        return _Network(
            layers=ctypes.addressof(self._layers),
            sigmoid=self._address(pair_entries(arrays["sigmoid"], ONE // 2)),
            tanh=self._address(pair_entries(arrays["tanh"], 0)),
            powers=self._address(arrays["powers"]),
            tokens=self._address(arrays["embedding.tokens"]),
            context=self._address(arrays.get("embedding.context")),
            orders=self._address(orders),
            head_bias=self._address(arrays["head.bias"]),
            head=self._describe_group(self._model.head_group),
            num_orders=len(orders),
            buckets=description.context_buckets,
            longest=max(description.context_orders, default=1),
            cell=_CELLS.index(description.cell),
            path=PATHS.index(self._path),
            **{
                name: getattr(description, name)
                for name in (
                    *("vocab_size", "embedding_size", "hidden_size", "num_layers"),
                    *("coupled", "zoneout", "zoneout_hidden", "memory_epsilon"),
                )
            },
        )

    def _describe_layer(self, layer: int) -> _Layer:
        names = ("bias", "candidate_bias", "memory_gain", "memory_bias")
        return _Layer(
            input=self._describe_group(self._model.input_group(layer)),
            recurrent=self._describe_group(self._model.recurrent_group(layer)),
            **{name: self._address(self._model.arrays.get(f"layers.{layer}.{name}")) for name in names},
            sum_shift=wide_shift(1 + layer) if layer in self._model.description.sums else 0,
        )

    def _describe_group(self, group: ProductGroup) -> _Group:
        products = (_Product * len(group.products))(*map(self._describe_product, group.products))
        self._kept.append(products)
        return _Group(
            products=ctypes.addressof(products),
            gain=self._address(group.gain_G),
            num_products=len(products),
            rows=len(group.products[0].multiplier_G),
            num_norms=len(group.norm_sizes),
            norm_sizes=(_int * 2)(*group.norm_sizes),
            epsilon=group.epsilon,
        )

    def _describe_product(self, product: Product) -> _Product:
        packed, columns = pack(product.matrix_GK, self._path)
        return _Product(
            weights=self._address(packed),
            multipliers=self._address(product.multiplier_G),
            source=product.source,
            columns=columns,
            shift=product.shift,
        )

    def _address(self, array: Array | None) -> int | None:
        """Return the address of an array, which is kept alive; None for None."""
        if array is None:
            return None
        contiguous = np.ascontiguousarray(array)
        self._kept.append(contiguous)
        return contiguous.ctypes.data
