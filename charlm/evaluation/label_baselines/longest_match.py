"""Segmentation by the longest match: at each place, the longest segment that the training text has (Palmer, 2000).

For tags B-X and I-X of characters. A segment of the training text is a string with its kind. In a language whose
segments end with runs of letters and digits, as the training text shows, a match does so too, and where nothing fits,
the run is a segment of the most frequent kind. In others, such as Chinese, that is a single character. A blank is
outside.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from charlm.data.labelled_text import LabelledText
from charlm.evaluation.label_baselines.base import Floats, LabelBaseline, LabelPredictor
from charlm.evaluation.segments import find_segments

_CERTAIN = 0.99
_RARELY = 0.01  # up to this share, segments that end within runs are exceptions


class LongestMatch(LabelBaseline):
    """The longest segment of the training text that fits."""

    name = "longest-match"
    description = "at each place, the longest segment that the training text has"

    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> "LongestMatchPredictor":
        kinds: dict[str, Counter[str]] = {}
        num_segments = num_inside = 0
        for text in train:
            targets: list[int] = text.targets.tolist()
            tags = [labels[target] for target in targets]
            for start, end, kind in find_segments(tags):
                first, last = int(text.positions[start]), int(text.positions[end - 1])
                kinds.setdefault(text.text[first : last + 1], Counter())[kind] += 1
                num_segments += 1
                num_inside += _is_inside_run(text.text, last + 1)
        totals = sum(kinds.values(), Counter[str]())
        default = totals.most_common(1)[0][0] if totals else ""
        return LongestMatchPredictor(
            {segment: counts.most_common(1)[0][0] for segment, counts in kinds.items()},
            default,
            labels,
            splits_runs=num_inside > _RARELY * num_segments,
        )


class LongestMatchPredictor(LabelPredictor):
    def __init__(self, segments: dict[str, str], default: str, labels: Sequence[str], *, splits_runs: bool) -> None:
        """
        Args:
            splits_runs: whether a segment may end within a run of letters and digits.
        """
        self._segments = segments
        self._splits_runs = splits_runs
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
            tags += [f"B-{kind}", *[f"I-{kind}"] * ((length or self._unknown_length(text, start)) - 1)]
        return tags

    def _fits(self, text: str, start: int, end: int) -> bool:
        """Whether text[start:end] is a segment that may end there."""
        return text[start:end] in self._segments and (self._splits_runs or not _is_inside_run(text, end))

    def _unknown_length(self, text: str, start: int) -> int:
        """Return the length of a segment that training has not seen."""
        if self._splits_runs:
            return 1
        return next(length for length in range(1, len(text) + 1) if not _is_inside_run(text, start + length))


def _is_inside_run(text: str, index: int) -> bool:
    """Whether the characters before and at `index` are both letters or digits."""
    return index < len(text) and text[index - 1].isalnum() and text[index].isalnum()
