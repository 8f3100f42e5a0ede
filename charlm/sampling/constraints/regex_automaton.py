"""Texts that a regular expression matches as a whole.

pattern ──parse_regex──> Nfa ──sets of its nodes, computed when a text leads there──> RegexAutomaton
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable
from functools import lru_cache

from charlm.errors import OptionError
from charlm.sampling.constraints.regex_parser import EPSILON, Nfa, parse_regex
from charlm.sampling.constraints.utf8_automaton import CACHE_SIZE, Alphabet, TextAutomaton, set_bits


class RegexAutomaton(TextAutomaton[int]):
    """Texts that a regular expression matches as a whole. Distances are exact minima.

    A state is a set of nodes of the NFA, as the bits of a number: the nodes that can read the next character and lead
    to a match, and the end node if the text matches already.
    """

    def __init__(self, pattern: str, spellable: Iterable[str] | None = None) -> None:
        """
        Args:
            spellable: the characters that the vocabulary can spell; all if left out.

        Raises:
            OptionError: the pattern is not supported (`regex_parser.parse_regex`), or no text matches it.
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
            raise OptionError(
                f"no text{of_these} matches {{regex}} {{pattern}}", "give another one", pattern=repr(pattern)
            )

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
        return min(self._distances[node] for node in set_bits(char_state))

    def _compute_min_completion_via(self, char_state: int, first: str, last: str) -> int | None:
        literals, classes = self._readable_atoms(char_state)
        reading = [nodes for character, nodes in literals.items() if first <= character <= last]
        reading += [nodes for regex, nodes in classes if self.alphabet.has_match(regex, first, last)]
        return min(map(self.min_completion, reading), default=None)

    def _compute_readable_atoms(self, char_state: int) -> tuple[dict[str, int], list[tuple[re.Pattern[str], int]]]:
        """The characters and classes that can be read next, each with the nodes that read it."""
        literals: defaultdict[str, int] = defaultdict(int)
        classes: defaultdict[re.Pattern[str], int] = defaultdict(int)
        for node in set_bits(char_state & ~(1 << len(self._nfa.nodes))):
            atom = self._nfa.atoms[self._nfa.nodes[node][0]]
            if isinstance(atom, str):
                literals[atom] |= 1 << node
            else:
                classes[atom] |= 1 << node
        return literals, list(classes.items())

    def _compute_closure(self, nodes: int) -> int:
        """The state in which these nodes are reached."""
        pending_nodes = [node for node in set_bits(nodes) if node in self._distances]
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


def _distances(nfa: Nfa, alphabet: Alphabet) -> dict[int, int]:
    """Node -> the fewest characters from there to the end; nodes that do not lead to the end are left out."""
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
    while pending_nodes:  # nearest first (0-1 breadth-first search): edges that read nothing go to the front
        node, distance = pending_nodes.popleft()
        if node not in distances:
            distances[node] = distance
            for previous, cost in predecessors[node]:
                (pending_nodes.append if cost else pending_nodes.appendleft)((previous, distance + cost))
    return distances
