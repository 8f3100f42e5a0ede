"""The parts of a page: bytes as text, numbers, text and ids, random numbers, filters; each in Python and in node."""

import json
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.export.web_page.scripts import join_modules
from charlm.export.web_page.tensors import TensorBlock, encode_whole_numbers
from charlm.export.web_page.text_encoding import encode_bytes, encoded_size
from charlm.export.web_page.vocabulary import describe_vocabulary
from charlm.sampling.filters import Filter, MinP, Temperature, TopK, TopP, apply_filters
from charlm.sampling.random_draw import sample_inverse_cdf
from charlm.vocab.char import CharVocab
from tests.export.web_page.models import BYTES, LETTERS
from tests.export.web_page.node_page import run_in_node


def call(module: str, expression: str, given: object, *others: str) -> Any:
    """The value of an expression over `given`, `module`, and the other modules in `modules`, as JSON."""
    code = f"""
    const given = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));
    {join_modules(module, *others)}
    const show = async () => console.log(JSON.stringify(await ((module) => {expression})(modules.{module})));
    show();
    """
    return json.loads(run_in_node(code, given))


def random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_bytes_come_back_from_their_text() -> None:
    sizes = [0, 1, 12, 13, 14, 100, 13 << 16, (13 << 16) + 5]
    texts = ["".join(encode_bytes(random_bytes(size))) for size in sizes]
    decoded = "given.map(([text, size]) => Buffer.from(module.decodeBytes(text, size)).toString('hex'))"
    found = call("tensors", decoded, list(zip(texts, sizes, strict=True)))
    assert found == [random_bytes(size).hex() for size in sizes]


@given(st.binary(max_size=200))
def test_the_text_of_bytes_may_stand_in_a_script(data: bytes) -> None:
    text = "".join(encode_bytes(data))
    assert len(text) == encoded_size(len(data))
    assert set(text) <= {chr(code) for code in range(35, 127)} - {"<"} | {"\n"}


def test_numbers_come_back_from_a_block() -> None:
    whole = [0, 1, 127, 128, 300, 16_383, 16_384, 2**31 - 1, 2**45 + 3]
    halves = [0.0, -0.5, 1.0, 2**-14, 5.960464477539063e-08, 65504.0, 1 / 1024]
    block = TensorBlock()
    block.add_whole_numbers("whole", np.array(whole))
    block.add_floats("halves", np.array(halves))
    block.add_floats("floats", np.array([math.pi, 1e-30]))
    matrix = torch.arange(-9, 9, dtype=torch.int8).view(6, 3)
    block.add_int8_matrix("matrix", matrix)
    assert [each["type"] for each in block.index.values()] == ["leb128", "f16", "f32", "i8x4"]
    expression = """(async () => {
      const bytes = Uint8Array.from(Buffer.from(given.data, "hex"));
      const tensors = new module.Tensors(await module.decompress(bytes), given.index);
      const floats = (name) => Array.from(tensors.floats(name));
      const whole = Array.from(tensors.wholeNumbers("whole", new Float64Array(tensors.sizeOf("whole"))));
      return [whole, floats("halves"), floats("floats"), Array.from(new Uint8Array(tensors.words("matrix").buffer,
        given.index.matrix.start, given.index.matrix.bytes))];
    })()"""
    found = call("tensors", expression, {"data": block.compress().hex(), "index": block.index})
    assert found[0] == whole
    assert found[1] == np.array(halves, dtype=np.float32).tolist()
    assert found[2] == np.array([math.pi, 1e-30], dtype=np.float32).tolist()
    words = np.array(found[3], dtype=np.uint8).view(np.int8).reshape(2, 3, 4).transpose(0, 2, 1).reshape(8, 3)
    assert np.array_equal(words, np.pad(matrix.numpy(), ((0, 2), (0, 0))))


@given(st.lists(st.integers(0, 2**63 - 1), max_size=20))
def test_a_whole_number_takes_7_bits_a_byte(numbers: list[int]) -> None:
    expected = sum(max(1, -(-number.bit_length() // 7)) for number in numbers)
    assert len(encode_whole_numbers(np.array(numbers, dtype=np.int64))) == expected


@pytest.mark.parametrize("vocab", [LETTERS, BYTES, CharVocab("ab<", byte_fallback=False)], ids=["char", "byte", "few"])
def test_text_has_the_ids_of_python(vocab: Any) -> None:
    text = "ab<ba" if vocab.first_byte_id is None and vocab is not BYTES else "Съешь <é> 👩‍👩‍👧 \r\n"
    given = {"spec": describe_vocabulary(vocab), "text": text}
    expression = "new module.Encoder(new modules.vocabulary.Vocabulary(given.spec)).encode(given.text)"
    assert call("encoding", expression, given, "vocabulary") == {"ids": vocab.encode(text).tolist(), "unknown": []}


def test_characters_without_an_id_are_named() -> None:
    spec = describe_vocabulary(CharVocab("a", byte_fallback=False))
    expression = "new module.Encoder(new modules.vocabulary.Vocabulary(given)).encode('a😀')"
    assert call("encoding", expression, spec, "vocabulary") == {"ids": [1], "unknown": ["😀"]}


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_random_numbers_are_those_of_python(seed: int) -> None:
    expression = "((numbers) => Array.from({ length: 1000 }, () => numbers.next()))(new module.RandomNumbers(given))"
    expected = torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert call("random_numbers", expression, seed) == expected.tolist()


FILTERS: list[dict[str, float | None]] = [
    {"temperature": 1.0},
    {"temperature": 0.0},
    {"temperature": 0.7, "topK": 5},
    {"temperature": 1.3, "topP": 0.6},
    {"temperature": 0.8, "minP": 0.1},
    {"temperature": 0.9, "topK": 12, "topP": 0.9, "minP": 0.05},
]


def filters_of(settings: dict[str, float | None]) -> list[Filter]:
    kinds: list[tuple[str, Callable[[Any], Filter]]] = [
        ("temperature", Temperature),
        ("topK", TopK),
        ("topP", TopP),
        ("minP", MinP),
    ]
    return [kind(settings[name]) for name, kind in kinds if settings.get(name) is not None]


def test_ids_are_kept_and_drawn_as_in_python() -> None:
    torch.manual_seed(0)
    off = {"temperature": 1.0, "topK": None, "topP": None, "minP": None}
    cases = [(torch.randn(20) * 2, {**off, **settings}, u) for settings in FILTERS for u in (0.0, 0.3, 0.999)]
    expression = """given.map(([logits, settings, uniform]) => {
      const values = Float32Array.from(logits);
      return [module.keptIds(values, settings), module.drawId(values, settings, uniform)];
    })"""
    found = call("drawing", expression, [(logits.tolist(), settings, u) for logits, settings, u in cases])
    for (logits, settings, uniform), (kept, drawn) in zip(cases, found, strict=True):
        filtered_1V = apply_filters(filters_of(settings), logits[None])
        assert kept == filtered_1V[0].isfinite().nonzero()[:, 0].tolist()
        assert drawn == int(sample_inverse_cdf(filtered_1V, torch.tensor([[uniform]], dtype=torch.float64)))
