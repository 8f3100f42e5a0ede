"""Segmentation by the longest match: at each place, the longest segment that the training text has (Palmer, 2000).

For tags B-X and I-X of characters. A segment of the training text is a string with its kind; where none fits, a
character that is no blank is a segment of the most frequent kind, and a blank is outside.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from charlm.data.labelled_text import LabelledText
from charlm.evaluation.label_baselines.base import Floats, LabelBaseline, LabelPredictor
from charlm.evaluation.segments import find_segments

_CERTAIN = 0.99


class LongestMatch(LabelBaseline):
    """The longest segment of the training text that fits."""

    name = "longest-match"
    description = "at each place, the longest segment that the training text has"

    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> "LongestMatchPredictor":
        kinds: dict[str, Counter[str]] = {}
        for text in train:
            targets: list[int] = text.targets.tolist()
            tags = [labels[target] for target in targets]
            for start, end, kind in find_segments(tags):
                first, last = int(text.positions[start]), int(text.positions[end - 1])
                kinds.setdefault(text.text[first : last + 1], Counter())[kind] += 1
        totals = sum(kinds.values(), Counter[str]())
        default = totals.most_common(1)[0][0] if totals else ""
        return LongestMatchPredictor(
            {segment: counts.most_common(1)[0][0] for segment, counts in kinds.items()}, default, labels
        )


class LongestMatchPredictor(LabelPredictor):
    def __init__(self, segments: dict[str, str], default: str, labels: Sequence[str]) -> None:
        self._segments = segments
        self._default = default
        self._longest = max(map(len, segments), default=1)
        self._ids = {name: index for index, name in enumerate(labels)}

    def log_probabilities(self, text: LabelledText) -> Floats:
        tags = self._tags(text.text)
        num_labels = len(self._ids)
        rest = (1 - _CERTAIN) / max(1, num_labels - 1)
        log_p_NL = np.full((len(text.positions), num_labels), np.log(rest), dtype=np.float32)
        for row, position in enumerate(text.positions.tolist()):
            label = self._ids.get(tags[position])
            if label is not None:
                log_p_NL[row, label] = np.log(_CERTAIN)
        return log_p_NL

    def _tags(self, text: str) -> list[str]:
        tags: list[str] = []
        while len(tags) < len(text):
            start = len(tags)
            if text[start].isspace():
                tags.append("O")
                continue
            longest = min(self._longest, len(text) - start)
            length = next((n for n in range(longest, 0, -1) if self._fits(text, start, start + n)), 0)
            kind = self._segments[text[start : start + length]] if length else self._default
            tags += [f"B-{kind}", *[f"I-{kind}"] * (max(1, length) - 1)]
        return tags

    def _fits(self, text: str, start: int, end: int) -> bool:
        """Whether text[start:end] is a segment that does not end within a run of letters and digits."""
        if text[start:end] not in self._segments:
            return False
        return end == len(text) or not (text[end - 1].isalnum() and text[end].isalnum())
