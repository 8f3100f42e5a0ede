"""The lengths of the texts of examples, for corpus.json."""


class LengthCounter:
    """The longest texts of a split of examples, and the number of its repeated texts."""

    def __init__(self) -> None:
        self._longest = self._longest_target = self._num_repeated = 0
        self._has_targets = False

    def add(self, text: str, target: str | None, *, is_repeated: bool) -> None:
        self._longest = max(self._longest, len(text))
        self._longest_target = max(self._longest_target, len(target or ""))
        self._has_targets |= target is not None
        self._num_repeated += is_repeated

    def describe(self) -> dict[str, int]:
        """Return the entries of corpus.json."""
        described = {"longest": self._longest}
        if self._has_targets:
            described |= {"longest_target": self._longest_target, "repeated_texts": self._num_repeated}
        return described
