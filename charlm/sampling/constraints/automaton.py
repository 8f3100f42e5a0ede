"""Two things that can be wanted of a text: that a regular expression matches it, or that it contains other texts.

pattern ──parse──> Nfa ──sets of its steps, as a text needs them──> RegexAutomaton
texts ──all their beginnings──> MustContain
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from charlm.errors import UsageError
from charlm.sampling.constraints.regex_parser import EPSILON, Nfa, parse_regex
from charlm.sampling.constraints.utf8_automaton import CACHE_SIZE, Alphabet, TextAutomaton

MAX_TEXTS = 64
MAX_CHARACTERS = 2_000
"""Of all texts that must be contained."""
_MAX_EXACT_TEXTS = 8
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
            UsageError: the pattern is refused (`regex_parser.parse_regex`), or no text matches it.
        """
        alphabet = Alphabet(spellable)
        self._pattern = pattern
        self._nfa = parse_regex(pattern)
        self._distances = _distances(self._nfa, alphabet)
        self._epsilon_targets = {
            node: [node + offset for offset in offsets if node + offset in self._distances]
            for node, (atom, offsets) in enumerate(self._nfa.nodes)
            if atom == EPSILON
        }
        self._readable_atoms = lru_cache(1 << 10)(self._compute_readable_atoms)
        self._closure = lru_cache(CACHE_SIZE)(self._compute_closure)
        super().__init__(self._closure(1), alphabet)
        if not self.start.char_state:
            of_these = "" if spellable is None else " of the characters that the vocabulary can spell"
            raise UsageError(f"no text{of_these} matches the pattern {pattern!r}", "give another pattern")

    def restrict_to(self, spellable: Iterable[str]) -> "RegexAutomaton":
        return RegexAutomaton(self._pattern, spellable)

    def _compute_next_state(self, char_state: int, character: str) -> int | None:
        literals, classes = self._readable_atoms(char_state)
        reading = literals.get(character, 0)
        for regex, nodes in classes:
            if regex.fullmatch(character) is not None:
                reading |= nodes
        return self._closure(reading << 1) or None

    def _compute_min_completion(self, char_state: int) -> int:
        return min(self._distances[node] for node in _set_bits(char_state))

    def _compute_min_completion_via(self, char_state: int, first: str, last: str) -> int | None:
        literals, classes = self._readable_atoms(char_state)
        reading = [nodes for character, nodes in literals.items() if first <= character <= last]
        reading += [nodes for regex, nodes in classes if self.alphabet.has_match(regex, first, last)]
        return min(map(self.min_completion, reading), default=None)

    def _compute_readable_atoms(self, char_state: int) -> tuple[dict[str, int], list[tuple[re.Pattern[str], int]]]:
        """The characters and the classes that can be read, each with the steps that read it."""
        literals: defaultdict[str, int] = defaultdict(int)
        classes: defaultdict[re.Pattern[str], int] = defaultdict(int)
        for node in _set_bits(char_state & ~(1 << len(self._nfa.nodes))):
            atom = self._nfa.atoms[self._nfa.nodes[node][0]]
            if isinstance(atom, str):
                literals[atom] |= 1 << node
            else:
                classes[atom] |= 1 << node
        return literals, list(classes.items())

    def _compute_closure(self, nodes: int) -> int:
        """What can be next where these steps are reached."""
        pending_nodes = [node for node in _set_bits(nodes) if node in self._distances]
        seen = set(pending_nodes)
        char_state = 0
        while pending_nodes:
            node = pending_nodes.pop()
            if node not in self._epsilon_targets:
                char_state |= 1 << node
                continue
            for following in self._epsilon_targets[node]:
                if following not in seen:
                    seen.add(following)
                    pending_nodes.append(following)
        return char_state


class MustContainAutomaton(TextAutomaton[tuple[str, int]]):
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
        self._texts = [text for text in dict.fromkeys(texts) if text and not _is_substring_of_another(text, texts)]
        self._prefixes: defaultdict[str, int] = defaultdict(int)
        for index, text in enumerate(self._texts):
            for size in range(1, len(text) + 1):
                self._prefixes[text[:size]] |= 1 << index
        self._failure_links: dict[str, str] = {}
        for prefix in sorted(self._prefixes, key=len):
            self._failure_links[prefix] = (
                self._next_prefix(self._failure_links[prefix[:-1]], prefix[-1]) if prefix[1:] else ""
            )
        self._characters = sorted(set("".join(self._texts)))
        self._index_of = {text: index for index, text in enumerate(self._texts)}
        self._overlaps = lru_cache(CACHE_SIZE)(self._compute_overlaps)
        self._min_remaining = lru_cache(CACHE_SIZE)(self._compute_min_remaining)
        super().__init__(("", (1 << len(self._texts)) - 1), alphabet)

    def restrict_to(self, spellable: Iterable[str]) -> "MustContainAutomaton":
        return MustContainAutomaton(self._texts, spellable)

    def _compute_next_state(self, char_state: tuple[str, int], character: str) -> tuple[str, int]:
        suffix, missing_mask = char_state
        suffix = self._next_prefix(suffix, character)
        if suffix in self._index_of:  # no other text can end here: it would hold this one, or be within it
            missing_mask &= ~(1 << self._index_of[suffix])
        return (suffix, missing_mask) if missing_mask else ("", 0)

    def _compute_min_completion(self, char_state: tuple[str, int]) -> int:
        suffix, missing_mask = char_state
        return min(
            (self._remaining_if_next(suffix, index, missing_mask) for index in _set_bits(missing_mask)), default=0
        )

    def _compute_min_completion_via(self, char_state: tuple[str, int], first: str, last: str) -> int | None:
        if not self.alphabet.count(first, last):
            return None
        others = ("", char_state[1])  # of which there may be none, but then one of these is no further away
        found = [self.next_state(char_state, character) for character in self._characters if first <= character <= last]
        return 1 + min(map(self.min_completion, [others, *filter(None, found)]))

    def _next_prefix(self, suffix: str, character: str) -> str:
        """The longest end of `suffix + character` that begins a text."""
        while suffix + character not in self._prefixes:
            if not suffix:
                return ""
            suffix = self._failure_links[suffix]
        return suffix + character

    def _remaining_if_next(self, suffix: str, index: int, missing_mask: int) -> int:
        """Characters that are missing if this text comes first."""
        text = self._texts[index]
        return (
            len(text) - self._overlaps(suffix).get(index, 0) + self._min_remaining(text, missing_mask & ~(1 << index))
        )

    def _compute_min_remaining(self, suffix: str, missing_mask: int) -> int:
        """Characters that are missing after a text.

        The order of many is kept, since to try all takes too long: each of them that is found shortens the rest.
        """
        numbers = (
            _set_bits(missing_mask) if missing_mask.bit_count() <= _MAX_EXACT_TEXTS else [next(_set_bits(missing_mask))]
        )
        return min((self._remaining_if_next(suffix, index, missing_mask) for index in numbers), default=0)

    def _compute_overlaps(self, suffix: str) -> dict[int, int]:
        """Text -> how much of its beginning the end of the text is, if any."""
        overlaps: dict[int, int] = {}
        while suffix:
            for index in _set_bits(self._prefixes[suffix]):
                overlaps.setdefault(index, len(suffix))
            suffix = self._failure_links[suffix]
        return overlaps


def _distances(nfa: Nfa, alphabet: Alphabet) -> dict[int, int]:
    """Step -> how many characters must be read from there to the end; steps that do not lead there are left out."""
    is_readable = [
        alphabet.count(atom, atom) > 0 if isinstance(atom, str) else alphabet.has_match(atom) for atom in nfa.atoms
    ]
    predecessors: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for node, (atom, offsets) in enumerate(nfa.nodes):
        if atom == EPSILON:
            for offset in offsets:
                predecessors[node + offset].append((node, 0))
        elif is_readable[atom]:
            predecessors[node + 1].append((node, 1))
    distances: dict[int, int] = {}
    pending_nodes = deque([(len(nfa.nodes), 0)])
    while pending_nodes:  # the nearest first: what costs nothing goes to the front
        node, distance = pending_nodes.popleft()
        if node not in distances:
            distances[node] = distance
            for previous, cost in predecessors[node]:
                (pending_nodes.append if cost else pending_nodes.appendleft)((previous, distance + cost))
    return distances


def _is_substring_of_another(text: str, others: Sequence[str]) -> bool:
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


def _set_bits(mask: int) -> Iterator[int]:
    """The places of the ones, from the lowest."""
    digits = bin(mask)[:1:-1]
    position = digits.find("1")
    while position >= 0:
        yield position
        position = digits.find("1", position + 1)
