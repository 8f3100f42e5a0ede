"""Constraints: a regular expression, texts or characters go in; at each step, the ids that keep them possible come out.

    regex ──regex_parser──> NFA ──regex_automaton──┐
    texts ──must_contain───────────────────────────┼──> automaton over characters ──tokens──> mask of ids
    characters ──characters────────────────────────┘     (utf8_automaton)

- `base`: what sampling asks of a constraint. `build`: from options to a constraint.
- `regex_parser`, `regex_automaton`, `must_contain`, `characters`: the kinds of constraints.
- `utf8_automaton`: the base of all automata: bytes in, the number of missing characters out.
- `tokens`: from characters to the ids of any vocabulary.
"""
