"""The articles of one segment -> those that fit into the rest of a subset, chosen by the order of `page_sort_key`."""

import heapq

from charlm.text.dump.articles import page_sort_key


class ArticleSelection:
    """The first articles of one segment in a random order, until they have `limit` characters."""

    def __init__(self, limit: int, seed: int) -> None:
        self._limit, self._seed = limit, seed
        self._max_heap: list[tuple[int, int]] = []
        self.characters = 0

    def accepts(self, page_id: str) -> bool:
        """Return whether the article may be selected; if not, it need not be cleaned."""
        return self.characters < self._limit or page_sort_key(self._seed, page_id) < -self._max_heap[0][0]

    def add(self, page_id: str, characters: int) -> None:
        heapq.heappush(self._max_heap, (-page_sort_key(self._seed, page_id), characters))
        self.characters += characters
        while self.characters - self._max_heap[0][1] >= self._limit:
            self.characters -= heapq.heappop(self._max_heap)[1]

    @property
    def characters_kept(self) -> int:
        """Characters of the selected articles that fit."""
        return self.characters - (self._max_heap[0][1] if self.characters > self._limit else 0)

    @property
    def sort_key_limit(self) -> int:
        """The `page_sort_key` from which on no article fits."""
        order, _ = self._max_heap[0]
        return -order if self.characters > self._limit else -order + 1
