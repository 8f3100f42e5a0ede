"""What one client may ask for, and what all of them together may."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The bounds of the server. A request beyond one of them is refused before any work for it begins."""

    body_bytes: int = 4 << 20
    """Of a request."""
    head_seconds: float = 10.0
    """For the head of a request to arrive, from the connection or the answer before it on."""
    body_seconds: float = 20.0
    """For the rest of a request to arrive."""
    write_seconds: float = 60.0
    """For a client to take what was sent to it."""
    prompts: int = 256
    """Of a request."""
    prompt_tokens: int = 131_072
    """Of all prompts of a request."""
    max_tokens: int = 16_384
    """Of a text."""
    texts: int = 256
    """Of a request: prompts times the larger of n and best_of."""
    logprobs: int = 20
    """The likeliest tokens of each place."""
    logprob_entries: int = 300_000
    """Of a request: places times (logprobs + 1). Enough for `logprobs` 1 at the longest prompts."""
    stop_strings: int = 16
    stop_characters: int = 256
    """Of one stop string."""
    labels: int = 32
    """Of a text: one of each column."""
    label_characters: int = 1_000
    prediction_characters: int = 262_144
    """Of all texts of a prediction. Of a model that writes for labels: times the labels. Of one that writes a text for
    another: the most tokens that it may write, times the beams."""
    source_characters: int = 1_000
    """Of a text for which another is written."""
    rows: int = 128
    """Texts and prompts of a model that step side by side; more take turns, and each request has one at least."""
    prompt_state_bytes: int = 32 << 20
    """Memory for states of prompts that were read; the least recently used are forgotten first."""
    regex_characters: int = 1_000
    regex_nodes: int = 2_000
    """Of the automaton; each copy of a repetition counts."""
    regex_classes: int = 20
    """Different classes of characters, such as [a-z]."""
    regex_seconds: float = 2.0
    """For one token."""
    regex_requests: int = 8
    """Requests with a regex at a time: each may keep 64 MiB of masks."""
    active_logprob_entries: int = 1_500_000
    """Of all requests at a time."""
    active_requests: int = 128
    """At a time; more are told to try again."""
    unread_events: int = 256
    """Events that a slow client has not read yet; its text waits then."""
    connections: int = 512
    """Open connections; requests of more are answered with 503, and a few dozen later they are closed at once."""


LIMITS = Limits()
