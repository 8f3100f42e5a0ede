"""Integers modulo 2**64, as hashes of n-grams need them. ONNX shifts unsigned integers only."""

import torch

from charlm.export.onnx_step.graph import Graph, Name


def wrap(number: int) -> int:
    """Return the signed 64-bit integer that is equal modulo 2**64."""
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number


def shift_right(graph: Graph, number: Name, bits: int) -> Name:
    """Return x >> bits with the sign kept, as torch shifts; ONNX's division rounds towards zero."""
    divisor = graph.number(2**bits)
    positive = graph.op("Div", number, divisor)
    negative = graph.op("BitwiseNot", graph.op("Div", graph.op("BitwiseNot", number), divisor))
    return graph.op("Where", graph.op("Less", number, graph.number(0)), negative, positive)


def lower_bound(graph: Graph, sorted_G: torch.Tensor, numbers: Name) -> Name:
    """Return how many entries of a sorted vector are less than each number, by bisection."""
    entries_G, size = graph.constant(sorted_G), len(sorted_G)
    found = graph.op("Mul", numbers, graph.number(0))
    for bit in reversed(range(size.bit_length())):
        candidate = graph.op("Add", found, graph.number(2**bit))
        last = graph.op("Sub", graph.op("Min", candidate, graph.number(size)), graph.number(1))
        is_less = graph.op("Less", graph.op("Gather", entries_G, last, axis=0), numbers)
        is_less = graph.op("And", is_less, graph.op("LessOrEqual", candidate, graph.number(size)))
        found = graph.op("Where", is_less, candidate, found)
    return found
