"""Modified Kneser-Ney straight from the equations: dictionaries of tuples, one probability at a time.

Written from Chen & Goodman (1999) without any code of charlm.
"""

from collections import Counter
from collections.abc import Sequence

BEGINNING = -1
"""The token before the stream's first one."""


class StraightLine:
    """The model of `tokens`, whose first one is never predicted."""

    def __init__(self, tokens: Sequence[int], vocab_size: int, order: int) -> None:
        self.vocab_size = vocab_size
        self.counts: list[dict[tuple[int, ...], int]] = [{}]  # by order
        for n in range(1, order + 1):
            ends = [end for end in range(2, len(tokens) + 1) if end >= n]
            if n == order:
                self.counts.append(dict(Counter(tuple(tokens[end - n : end]) for end in ends)))
                continue
            before: dict[tuple[int, ...], set[int]] = {}
            for end in ends:
                left = tokens[end - n - 1] if end > n else BEGINNING
                before.setdefault(tuple(tokens[end - n : end]), set()).add(left)
            self.counts.append({ngram: len(lefts) for ngram, lefts in before.items()})
        self.discounts = [self._discounts(counts) for counts in self.counts]
        self.followers: dict[tuple[int, ...], dict[int, int]] = {}
        for counts in self.counts[1:]:
            for ngram, count in counts.items():
                self.followers.setdefault(ngram[:-1], {})[ngram[-1]] = count

    @staticmethod
    def _discounts(counts: dict[tuple[int, ...], int]) -> list[float]:
        n = [sum(1 for count in counts.values() if count == k) for k in range(5)]
        found = [0.0, 0.5, 1.0, 1.5]
        if n[1]:
            y = n[1] / (n[1] + 2 * n[2])
            for k in (1, 2, 3):
                if n[k] and 0 < k - (k + 1) * y * n[k + 1] / n[k] < k:
                    found[k] = k - (k + 1) * y * n[k + 1] / n[k]
        return found

    def probability(self, token: int, context: tuple[int, ...]) -> float:
        """p(token | context), for a context of at most order - 1 tokens."""
        lower = self.probability(token, context[1:]) if context else 1 / self.vocab_size
        followers = self.followers.get(context)
        if followers is None:
            return lower
        D = self.discounts[len(context) + 1]
        total = sum(followers.values())
        gamma = sum(D[min(count, 3)] for count in followers.values()) / total
        count = followers.get(token, 0)
        return max(count - D[min(count, 3)], 0) / total + gamma * lower
