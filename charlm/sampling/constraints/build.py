"""Build the constraint that the options of a sample ask for.

regex, must_contain, only, never ──> automaton over characters ──with the vocabulary──> constraint on ids
"""

from typing import Any

from charlm.errors import OptionError
from charlm.sampling.constraints.base import Constraint
from charlm.sampling.constraints.characters import CharacterAutomaton, CharacterConstraint
from charlm.sampling.constraints.must_contain import MustContainAutomaton
from charlm.sampling.constraints.regex_automaton import RegexAutomaton
from charlm.sampling.constraints.tokens import TokenConstraint
from charlm.sampling.options import SamplingOptions
from charlm.vocab.base import Vocab


def build_constraint(options: SamplingOptions, vocab: Vocab) -> Constraint | None:
    """Return the constraint, or None if the options do not ask for one.

    Raises:
        UsageError: no text of that length, or none that the vocabulary can spell, satisfies the options.
    """
    if options.only is not None or options.never:
        return CharacterConstraint(CharacterAutomaton(options.only, options.never), vocab)
    if options.regex is None and not options.must_contain:
        return None
    automaton = (
        RegexAutomaton(options.regex) if options.regex is not None else MustContainAutomaton(options.must_contain)
    )
    constraint: TokenConstraint[Any] = TokenConstraint(automaton, vocab)
    shortest = constraint.automaton.distance(constraint.start)
    if shortest > options.length:
        raise OptionError(
            f"no text of {{length}} {options.length} can match; the shortest match has {shortest} characters",
            f"give {{length}} {shortest} or more",
        )
    return constraint
