"""The best accuracy that any function of the text can reach, where equal texts have different labels or tags.

texts that occur once ──> all of their labels can be right
repeated texts        ──> at each place, the label that is most frequent there can be right

For each label: how many of its occurrences are then right. Labels that are equally frequent at a place share it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_MOST_SHOWN = 10
_SHOWN_CHARACTERS = 80

Targets = Sequence[str | None]


@dataclass
class _RepeatedText:
    """The targets of the examples with one text."""

    text: str
    targets: list[Targets] = field(default_factory=list[Targets])


class AmbiguityCounter:
    """Counts the labels or tags of a split, and finds texts that have several."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()
        """How often each label or tag occurs."""
        self._right: Counter[str] = Counter()
        self._repeated: dict[int, _RepeatedText] = {}

    def add(self, digest: int, text: str, targets: Targets, *, is_repeated: bool) -> None:
        """Add an example.

        Args:
            digest: a hash of the text.
            targets: its label, or its tags; None where nothing is asked.
            is_repeated: whether another example of the split has the text.
        """
        asked = [target for target in targets if target is not None]
        self.names.update(asked)
        if is_repeated:
            self._repeated.setdefault(digest, _RepeatedText(text[:_SHOWN_CHARACTERS])).targets.append(targets)
        else:
            self._right.update(asked)

    def describe(self) -> dict[str, Any]:
        """Return the entries of corpus.json: the ambiguous texts, and the ceiling over all and for each label."""
        shares: dict[str, float] = {name: float(count) for name, count in self._right.items()}
        num_right = sum(self._right.values())
        texts = examples = 0
        shown: list[dict[str, Any]] = []
        for repeated in self._repeated.values():
            places = [
                Counter(target for target in place if target is not None)
                for place in zip(*repeated.targets, strict=True)
            ]
            for counts in filter(None, places):
                best = max(counts.values())
                winners = [name for name, count in counts.items() if count == best]
                num_right += best
                for name in winners:
                    shares[name] = shares.get(name, 0.0) + best / len(winners)
            differing = [sorted(counts) for counts in places if len(counts) > 1]
            if differing:
                texts += 1
                examples += len(repeated.targets)
                if len(shown) < _MOST_SHOWN:
                    shown.append({"text": repeated.text, "names": differing[0]})
        total = sum(self.names.values())
        return {
            "ambiguous_texts": texts,
            "ambiguous_examples": examples,
            "right": num_right,
            "ceiling": num_right / total if total else None,
            "ceilings": {name: shares.get(name, 0.0) / count for name, count in sorted(self.names.items())},
            "shown": shown,
        }
