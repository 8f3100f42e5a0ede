"""Two things that can be wanted of a text: that a regular expression matches it, or that it contains other texts.

pattern ──parse──> Nfa ──sets of its steps, as a text needs them──> RegexAutomaton
texts ──all their beginnings──> MustContain
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from charlm.errors import UsageError
from charlm.sampling.constraints.regex_parser import FREE, Nfa, parse
from charlm.sampling.constraints.utf8_automaton import REMEMBERED, Alphabet, TextAutomaton

MAX_TEXTS = 64
MAX_CHARACTERS = 2_000
"""Of all texts that must be contained."""
_EXACT_TEXTS = 8
"""So many missing texts are put in the best order; of more, the first ones stay in the order in which they came."""


class RegexAutomaton(TextAutomaton[int]):
    """Texts that a regular expression matches as a whole. Distances are the least ones.

    A state is the set of the automaton's steps that can be next, as the bits of a number: those that read a character
    and lead to a match, and the place behind the last step where the text matches as it is.
    """

    def __init__(self, pattern: str, spellable: Iterable[str] | None = None) -> None:
        """
        Args:
            spellable: the characters that text can be made of; all there are if left out.

        Raises:
            UsageError: the pattern is refused (`regex_parser.parse`), or no text matches it.
        """
        alphabet = Alphabet(spellable)
        self._pattern = pattern
        self._nfa = parse(pattern)
        self._distances = _distances(self._nfa, alphabet)
        self._free = {
            step: [step + offset for offset in offsets if step + offset in self._distances]
            for step, (atom, offsets) in enumerate(self._nfa.steps)
            if atom == FREE
        }
        self._reads = lru_cache(1 << 10)(self._find_reads)
        self._closure = lru_cache(REMEMBERED)(self._find_closure)
        super().__init__(self._closure(1), alphabet)
        if not self.start.live:
            of_these = "" if spellable is None else " of the characters that the vocabulary can spell"
            raise UsageError(f"no text{of_these} matches the pattern {pattern!r}", "give another pattern")

    def spelled_with(self, spellable: Iterable[str]) -> "RegexAutomaton":
        return RegexAutomaton(self._pattern, spellable)

    def _find_after(self, live: int, character: str) -> int | None:
        literals, classes = self._reads(live)
        reading = literals.get(character, 0)
        for regex, steps in classes:
            if regex.fullmatch(character) is not None:
                reading |= steps
        return self._closure(reading << 1) or None

    def _find_missing(self, live: int) -> int:
        return min(self._distances[step] for step in _bits(live))

    def _find_within(self, live: int, first: str, last: str) -> int | None:
        literals, classes = self._reads(live)
        reading = [steps for character, steps in literals.items() if first <= character <= last]
        reading += [steps for regex, steps in classes if self.alphabet.has_match(regex, first, last)]
        return min(map(self.missing, reading), default=None)

    def _find_reads(self, live: int) -> tuple[dict[str, int], list[tuple[re.Pattern[str], int]]]:
        """The characters and the classes that can be read, each with the steps that read it."""
        literals: defaultdict[str, int] = defaultdict(int)
        classes: defaultdict[re.Pattern[str], int] = defaultdict(int)
        for step in _bits(live & ~(1 << len(self._nfa.steps))):
            atom = self._nfa.atoms[self._nfa.steps[step][0]]
            if isinstance(atom, str):
                literals[atom] |= 1 << step
            else:
                classes[atom] |= 1 << step
        return literals, list(classes.items())

    def _find_closure(self, steps: int) -> int:
        """What can be next where these steps are reached."""
        waiting = [step for step in _bits(steps) if step in self._distances]
        seen = set(waiting)
        live = 0
        while waiting:
            step = waiting.pop()
            if step not in self._free:
                live |= 1 << step
                continue
            for following in self._free[step]:
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return live


class MustContain(TextAutomaton[tuple[str, int]]):
    """Texts that contain each of the given ones; these may overlap.

    Distances are the least ones while no more than 8 of them are missing, and else reachable ones.

    A state is the longest end of the text that begins one of them (Aho and Corasick, 1975), and which are missing, as
    the bits of a number.
    """

    def __init__(self, texts: Sequence[str], spellable: Iterable[str] | None = None) -> None:
        """
        Args:
            spellable: the characters that text can be made of; all there are if left out.

        Raises:
            UsageError: the texts are too many or too long, or hold a character that no text can be made of.
        """
        alphabet = Alphabet(spellable)
        _check_texts(texts, alphabet)
        self._texts = [text for text in dict.fromkeys(texts) if text and not _is_within(text, texts)]
        self._beginnings: defaultdict[str, int] = defaultdict(int)
        for number, text in enumerate(self._texts):
            for size in range(1, len(text) + 1):
                self._beginnings[text[:size]] |= 1 << number
        self._shorter: dict[str, str] = {}
        for beginning in sorted(self._beginnings, key=len):
            self._shorter[beginning] = (
                self._follow(self._shorter[beginning[:-1]], beginning[-1]) if beginning[1:] else ""
            )
        self._characters = sorted(set("".join(self._texts)))
        self._number_of = {text: number for number, text in enumerate(self._texts)}
        self._overlaps = lru_cache(REMEMBERED)(self._find_overlaps)
        self._best = lru_cache(REMEMBERED)(self._find_best)
        super().__init__(("", (1 << len(self._texts)) - 1), alphabet)

    def spelled_with(self, spellable: Iterable[str]) -> "MustContain":
        return MustContain(self._texts, spellable)

    def _find_after(self, live: tuple[str, int], character: str) -> tuple[str, int]:
        end, wanted = live
        end = self._follow(end, character)
        if end in self._number_of:  # no other text can end here: it would hold this one, or be within it
            wanted &= ~(1 << self._number_of[end])
        return (end, wanted) if wanted else ("", 0)

    def _find_missing(self, live: tuple[str, int]) -> int:
        end, wanted = live
        return min((self._cost(end, number, wanted) for number in _bits(wanted)), default=0)

    def _find_within(self, live: tuple[str, int], first: str, last: str) -> int | None:
        if not self.alphabet.count(first, last):
            return None
        others = ("", live[1])  # of which there may be none, but then one of these is no further away
        found = [self.after(live, character) for character in self._characters if first <= character <= last]
        return 1 + min(map(self.missing, [others, *filter(None, found)]))

    def _follow(self, end: str, character: str) -> str:
        """The longest end of `end + character` that begins a text."""
        while end + character not in self._beginnings:
            if not end:
                return ""
            end = self._shorter[end]
        return end + character

    def _cost(self, end: str, number: int, wanted: int) -> int:
        """Characters that are missing if this text comes first."""
        text = self._texts[number]
        return len(text) - self._overlaps(end).get(number, 0) + self._best(text, wanted & ~(1 << number))

    def _find_best(self, end: str, wanted: int) -> int:
        """Characters that are missing after a text.

        The order of many is kept, since to try all takes too long: each of them that is found shortens the rest.
        """
        numbers = _bits(wanted) if wanted.bit_count() <= _EXACT_TEXTS else [next(_bits(wanted))]
        return min((self._cost(end, number, wanted) for number in numbers), default=0)

    def _find_overlaps(self, end: str) -> dict[int, int]:
        """Text -> how much of its beginning the end of the text is, if any."""
        overlaps: dict[int, int] = {}
        while end:
            for number in _bits(self._beginnings[end]):
                overlaps.setdefault(number, len(end))
            end = self._shorter[end]
        return overlaps


def _distances(nfa: Nfa, alphabet: Alphabet) -> dict[int, int]:
    """Step -> how many characters must be read from there to the end; steps that do not lead there are left out."""
    can_be_read = [
        alphabet.count(atom, atom) > 0 if isinstance(atom, str) else alphabet.has_match(atom) for atom in nfa.atoms
    ]
    before: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for step, (atom, offsets) in enumerate(nfa.steps):
        if atom == FREE:
            for offset in offsets:
                before[step + offset].append((step, 0))
        elif can_be_read[atom]:
            before[step + 1].append((step, 1))
    distances: dict[int, int] = {}
    waiting = deque([(len(nfa.steps), 0)])
    while waiting:  # the nearest first: what costs nothing goes to the front
        step, distance = waiting.popleft()
        if step not in distances:
            distances[step] = distance
            for previous, cost in before[step]:
                (waiting.append if cost else waiting.appendleft)((previous, distance + cost))
    return distances


def _is_within(text: str, others: Sequence[str]) -> bool:
    return any(text in other for other in others if other != text)


def _check_texts(texts: Sequence[str], alphabet: Alphabet) -> None:
    if len(texts) > MAX_TEXTS or sum(map(len, texts)) > MAX_CHARACTERS:
        raise UsageError(
            f"{len(texts)} texts of {sum(map(len, texts)):,} characters in all must be contained",
            f"give at most {MAX_TEXTS} of at most {MAX_CHARACTERS:,} characters in all",
        )
    for character in sorted(set("".join(texts))):
        if not alphabet.count(character, character):
            raise UsageError(
                f"the text to contain has the character {character!r}, which cannot be spelled",
                "give another text, or prepare the corpus with corpus.vocab.byte_fallback = true",
            )


def _bits(mask: int) -> Iterator[int]:
    """The places of the ones, from the lowest."""
    digits = bin(mask)[:1:-1]
    place = digits.find("1")
    while place >= 0:
        yield place
        place = digits.find("1", place + 1)
