"""The edit distance of two sequences: the least number of insertions, deletions and substitutions (Levenshtein, 1966).

Time is in proportion to the product of the lengths, memory to the shorter one.
"""

from collections.abc import Sequence


def edit_distance(first: Sequence[object], second: Sequence[object]) -> int:
    """Return how many elements of the first sequence must be inserted, deleted or replaced to get the second."""
    if len(first) < len(second):
        first, second = second, first
    previous = list(range(len(second) + 1))
    for row, element in enumerate(first, 1):
        current = [row]
        for column, other in enumerate(second, 1):
            current.append(
                min(previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (element != other))
            )
        previous = current
    return previous[-1]
