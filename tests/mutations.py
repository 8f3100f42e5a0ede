"""A file as an accident or an enemy would have it: bytes -> other bytes, by what kind of file it is.

    any file       bits flipped, bytes cut out, put in, repeated, zeroed, all of it replaced, a pickle with a canary
    JSON           a value exchanged for a hostile one, a key dropped or added, a later format, nested without end
    safetensors    the same in its header; sizes and offsets that lie, tensors that overlap, numbers that are none
    .npy           header fields that lie: shape, type, order; values beyond the vocabulary

The same seed gives the same mutation.
"""

import json
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

Mutation = Callable[[bytes, random.Random], bytes]

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, [], {}, "", "x", "\x00", "\ud800", "../../etc/passwd", "/dev/zero", "a" * 100_000),
    *(0, -1, 1, 2, 255, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, 5e-324),
    *(
        float("nan"),
        float("inf"),
        -float("inf"),
        [[]],
        [None],
        [0],
        [-1],
        [2**40],
        [10**9, 10**9],
        {"": 0},
        {"type": "x"},
    ),
    *("NaN", "1e999", "F32", "F64", "I64", "BOOL", "lstm", "char", "ngram", "sentencepiece", "byte", "word", "symbols"),
)


class Canary:
    """What pickle executes when it reads this."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def mutate(name: str, content: bytes, chance: random.Random, canary: Path) -> tuple[str, bytes]:
    """Another content of a file of that name, and what was done to it."""
    kinds = _OF_KIND.get(name.rpartition(".")[2], ()) * 2 + _OF_ANY
    while True:
        kind = chance.choice((*kinds, _pickled))
        changed = pickle.dumps(Canary(canary)) if kind is _pickled else kind(content, chance)
        if changed != content:
            return kind.__name__.strip("_"), changed


def _pickled(content: bytes, chance: random.Random) -> bytes:
    raise AssertionError("mutate knows the canary")


# ---- any file


def _span(content: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(content) + 1)
    return start, min(len(content), start + int(10 ** chance.uniform(0, 4)))


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 8)) if content else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flip_early(content: bytes, chance: random.Random) -> bytes:
    """Where headers are."""
    return _flip(content[:200], chance) + content[200:]


def _truncate(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _cut(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:start] + content[end:]


def _insert(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:start] + chance.randbytes(end - start) + content[start:]


def _append(content: bytes, chance: random.Random) -> bytes:
    return content + chance.choice((b"\0", b" ", b"x", bytes(4096), content))


def _repeat(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:end] + content[start:]


def _zero(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:start] + chance.choice((b"\0", b"\xff", b"9")) * (end - start) + content[end:]


def _replace(content: bytes, chance: random.Random) -> bytes:
    return chance.choice((b"", b"\0" * 64, b"PK\x03\x04" + bytes(64), b"\x80\x02.", chance.randbytes(len(content))))


# ---- JSON


def _parse(content: bytes) -> Any:
    return json.loads(content.decode("utf-8"))


def _nodes(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value below `tree`, of long lists only some."""
    found: list[tuple[Any, Any]] = []
    if isinstance(tree, dict):
        items = list(cast("dict[str, Any]", tree).items())
    else:
        items = list(enumerate(cast("list[Any]", tree)))[:5] if isinstance(tree, list) else []
    for key, value in items:
        found += [(tree, key), *_nodes(value)]
    return found


def _exchange(content: bytes, chance: random.Random) -> bytes:
    tree = _parse(content)
    container, key = chance.choice(_nodes(tree))
    container[key] = chance.choice(HOSTILE)
    return json.dumps(tree).encode()


def _nudge(content: bytes, chance: random.Random) -> bytes:
    """A number that is only a little wrong, or a string with a letter more."""
    tree = _parse(content)
    container, key = chance.choice(_nodes(tree))
    value = container[key]
    if isinstance(value, str):
        container[key] = value + chance.choice(("x", value[:1], "\u0301"))
    elif isinstance(value, bool):
        container[key] = not value
    elif isinstance(value, int | float):
        container[key] = chance.choice((value + 1, value - 1, -value, value * 1000, str(value), float(value)))
    elif isinstance(value, list):
        container[key] = cast("list[Any]", value) * chance.choice((0, 2))
    return json.dumps(tree).encode()


def _drop(content: bytes, chance: random.Random) -> bytes:
    tree = _parse(content)
    container, key = chance.choice(_nodes(tree))
    del container[key]
    return json.dumps(tree).encode()


def _add(content: bytes, chance: random.Random) -> bytes:
    tree = _parse(content)
    container, _ = chance.choice([(tree, ""), *_nodes(tree)])
    if isinstance(container, dict):
        container[chance.choice(("more", "type", "format", "__class__", "x" * 1000))] = chance.choice(HOSTILE)
    else:
        container.append(chance.choice(HOSTILE))
    return json.dumps(tree).encode()


def _later(content: bytes, chance: random.Random) -> bytes:
    return json.dumps(_parse(content) | {"format": chance.choice((2, 99, 10**30))}).encode()


def _nest(content: bytes, chance: random.Random) -> bytes:
    """As deep as a parser may follow, in place of a value."""
    tree = _parse(content)
    container, key = chance.choice(_nodes(tree))
    container[key] = "HERE"
    depth = chance.choice((50, 900, 100_000))
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
    return json.dumps(tree).encode().replace(b'"HERE"', (opening * depth + "1" + closing * depth).encode(), 1)


def _no_object(content: bytes, chance: random.Random) -> bytes:
    del content
    return json.dumps(chance.choice(HOSTILE)).encode()


# ---- safetensors


def _headed(header: bytes, rest: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + rest


def _parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    end = 8 + int(struct.unpack("<Q", content[:8])[0])
    return json.loads(content[8:end]), content[end:]


def _lie_about_length(content: bytes, chance: random.Random) -> bytes:
    return struct.pack("<Q", chance.choice((0, 1, 90_000_000, 2**31, 2**62, 2**64 - 1, len(content)))) + content[8:]


def _change_header(content: bytes, chance: random.Random) -> bytes:
    header, rest = _parts(content)
    change = chance.choice((_exchange, _nudge, _drop, _add, _nest))
    return _headed(change(json.dumps(header).encode(), chance), rest)


def _overlap(content: bytes, chance: random.Random) -> bytes:
    header, rest = _parts(content)
    one, other = chance.sample(sorted(header), 2)
    header[one]["data_offsets"] = header[other]["data_offsets"]
    if chance.random() < 0.5:
        header[one] = header[other]
    return _headed(json.dumps(header).encode(), rest)


def _rename(content: bytes, chance: random.Random) -> bytes:
    header, rest = _parts(content)
    one, other = chance.sample(sorted(header), 2)
    header[one], header[other] = header[other], header[one]
    return _headed(json.dumps(header).encode(), rest)


def _retype(content: bytes, chance: random.Random) -> bytes:
    """As many bytes under another type."""
    header, rest = _parts(content)
    tensor = header[chance.choice(sorted(header))]
    tensor["dtype"] = chance.choice(("F32", "I32", "U32", "F64", "I64", "F16", "BF16", "BOOL", "U8", "C64", "F4", "Q4"))
    return _headed(json.dumps(header).encode(), rest)


def _no_numbers(content: bytes, chance: random.Random) -> bytes:
    """NaN, infinite and very large numbers in the data."""
    header, rest = _parts(content)
    place = chance.randrange(max(1, len(rest) // 4)) * 4
    value = struct.pack("<f", chance.choice((float("nan"), float("inf"), -float("inf"), 3e38, -3e38)))
    return _headed(json.dumps(header).encode(), rest[:place] + value + rest[place + 4 :])


# ---- .npy


def _change_array_header(content: bytes, chance: random.Random) -> bytes:
    end = 10 + int.from_bytes(content[8:10], "little")
    old, new = chance.choice(
        (
            (b"'shape': (", b"'shape': (-"),
            (b"'shape': (", b"'shape': (9"),
            (b"'shape': (", b"'shape': (1, "),
            (b"'shape': (", b"'shape': (99999999999999, "),
            (b"'shape': (", b"'shape': (" + b"(" * 300),
            (b"'fortran_order': False", b"'fortran_order': True "),
            (b"'fortran_order': False", b"'fortran_order': None"),
            (b"'descr': ", b"'descr': '|O', 'more': "),
            (b"'descr': ", b"'descr': __import__('os').system('true') or "),
            (b"'|u1'", b"'|i1'"),
            (b"'<u2'", b"'>u2'"),
            (b"'<i8'", b"'>i8'"),
            (b"'<i8'", b"'<f8'"),
            (b"'<i8'", b"'|O'"),
        )
    )
    header = content[10:end].replace(old, new, 1).rstrip()
    padded = header.ljust(end - 11)[: end - 11] + b"\n"
    return content[:10] + padded + content[end:]


def _other_version(content: bytes, chance: random.Random) -> bytes:
    return content[:6] + bytes([chance.choice((0, 2, 3, 4, 255)), chance.choice((0, 1))]) + content[8:]


def _wild_values(content: bytes, chance: random.Random) -> bytes:
    """An id or an offset beyond everything."""
    end = 10 + int.from_bytes(content[8:10], "little")
    data = content[end:]
    size = chance.choice((1, 2, 8))
    place = chance.randrange(max(1, len(data) // size)) * size
    value = chance.choice((b"\xff" * size, b"\x80".rjust(size, b"\0"), b"\x7f".rjust(size, b"\xff")))
    return content[:end] + data[:place] + value + data[place + size :]


_OF_ANY: tuple[Mutation, ...] = (
    *(_flip, _flip, _flip_early, _truncate, _cut, _insert, _append, _repeat, _zero, _replace),
)
_OF_KIND: dict[str, tuple[Mutation, ...]] = {
    "json": (_exchange, _exchange, _exchange, _nudge, _nudge, _drop, _add, _later, _nest, _no_object),
    "safetensors": (
        *(_lie_about_length, _change_header, _change_header, _change_header, _overlap, _rename, _retype, _no_numbers),
    ),
    "npy": (_change_array_header, _change_array_header, _other_version, _wild_values, _wild_values),
}
