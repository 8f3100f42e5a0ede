"""Text from a run: one, several, the best of several, the most probable one; and how much of it is copied.

RUN ──load──> model ──read_prompt──> Generator ──one, many, best, beam──> text ──novelty──> what stands in the corpus
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from charlm import storage
from charlm.checkpoint import LoadedModel
from charlm.device import choose_device
from charlm.errors import UsageError
from charlm.nn.quantize import quantize_cells
from charlm.sampling.beam import beam_search
from charlm.sampling.constraints.automaton import MustContainAutomaton, RegexAutomaton
from charlm.sampling.constraints.characters import CharacterAutomaton, CharacterConstraint
from charlm.sampling.constraints.tokens import TokenConstraint
from charlm.sampling.decode import Constraint, SamplingPlan
from charlm.sampling.fast.matmul import StepPrecision
from charlm.sampling.filters import (
    Filter,
    FrequencyPenalty,
    MinP,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    Typical,
    sort_filters,
)
from charlm.sampling.generate import TextGenerator, prime_generator
from charlm.sampling.novelty import measure_novelty, training_texts
from charlm.sampling.session import Session
from charlm.vocab.base import Vocab
from charlm.workflows.load_run import load_run, open_corpus_for

MAX_CHARACTERS = 10**9
MAX_PENALTY_WINDOW = 1_000_000
_MAX_BATCH_SIZE = 1024
"""Streams that step side by side; more come in turns."""


def build_filters(
    temperature: str,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    typical_p: float | None = None,
    repetition_penalty: float | None = None,
    frequency_penalty: float | None = None,
) -> list[Filter]:
    """What is done to the model's distribution; None does nothing.

    Raises:
        UsageError: a value out of range.
    """
    kinds: list[tuple[Callable[[Any], Filter], float | None]] = [
        (TopK, top_k),
        (TopP, top_p),
        (MinP, min_p),
        (Typical, typical_p),
        (RepetitionPenalty, repetition_penalty),
        (FrequencyPenalty, frequency_penalty),
    ]
    return [Temperature.parse(temperature), *(kind(value) for kind, value in kinds if value is not None)]


@dataclass(frozen=True)
class SamplingOptions:
    """What is asked of a run."""

    prompt: str = ""
    length: int = 500
    filters: Sequence[Filter] = (Temperature(0.7),)
    seed: int = 0
    stop_strings: tuple[str, ...] = ()
    regex: str | None = None
    must_contain: tuple[str, ...] = ()
    only: str | None = None
    """Characters that may occur; None for all."""
    never: str = ""
    """Characters that may not."""
    precision: StepPrecision = "fp32"
    penalty_window: int = 64

    def check(self) -> None:
        """
        Raises:
            UsageError: wishes that contradict each other.
        """
        given = {
            "--regex": self.regex is not None,
            "--must-contain": bool(self.must_contain),
            "--only and --never": self.only is not None or bool(self.never),
        }
        conflicting = [name for name, is_given in given.items() if is_given]
        if len(conflicting) > 1:
            raise UsageError(f"{' and '.join(conflicting)} do not go together", "say it all in one --regex")
        bounds = {
            "--length": (self.length, 0, MAX_CHARACTERS),
            "--penalty-window": (self.penalty_window, 1, MAX_PENALTY_WINDOW),
            "--seed": (self.seed, 0, 2**63 - 1),
        }
        for name, (value, least, most) in bounds.items():
            if not least <= value <= most:
                raise UsageError(f"{name} {value} is out of range", f"give {least} to {most}")
        if self.regex == "":
            raise UsageError(
                "an empty --regex fits the empty text only", "leave it out, or give a pattern such as '.*'"
            )
        if "" in self.stop_strings or "" in self.must_contain:
            raise UsageError("an empty text is everywhere", "give --stop and --must-contain a text")


@dataclass(frozen=True)
class GeneratedText:
    """Text from a run, piece by piece, and the prompt that it goes on from, or leads to."""

    prompt: str
    pieces: Iterator[str]
    is_before_prompt: bool

    def with_prompt(self) -> Iterator[str]:
        """Prompt and text in the order in which they are read."""
        return chain(self.pieces, [self.prompt]) if self.is_before_prompt else chain([self.prompt], self.pieces)


def load_for_sampling(run: str | None, checkpoint: str, precision: StepPrecision, device: str) -> LoadedModel:
    """
    Raises:
        UsageError: int8, and the network has no cells.
    """
    loaded, _ = load_run(run, checkpoint, device)
    if precision == "int8":
        quantize_cells(loaded.model)
    return loaded


def build_generator(loaded: LoadedModel, options: SamplingOptions, device: str) -> TextGenerator:
    """A model that has read the prompt.

    Raises:
        UsageError: wishes that contradict each other or the model.
        DataError: the prompt cannot be spelled.
    """
    sampling = plan_sampling(options, loaded.vocab)
    if sampling.constraint is not None and loaded.settings.direction == "backward":
        raise UsageError(
            "a backward model writes last things first, which --regex, --must-contain, --only and --never do not know",
            "leave them out",
        )
    chosen = choose_device(device)
    return prime_generator(loaded.model, loaded.vocab, options.prompt, sampling, chosen, loaded.settings.direction)


@dataclass(frozen=True)
class DrawStrategy:
    """Which of the texts that could be drawn are."""

    count: int = 1
    best_of: int = 1
    """Of so many the one that costs the model least a character."""
    beams: int = 1
    """No draws, but a search for the most probable text, so many beginnings wide."""
    unbatched: bool = False
    """Whether each of several texts is stepped by itself, so that none depends on the others by rounding either."""

    def check(self) -> None:
        """
        Raises:
            UsageError: two of them.
        """
        given = {"--count": self.count, "--best-of": self.best_of, "--beams": self.beams}
        conflicting = [name for name, number in given.items() if number > 1]
        if len(conflicting) > 1:
            raise UsageError(f"{' and '.join(conflicting)} do not go together", "give one of them")


def sample_run(run: str | None, checkpoint: str, options: SamplingOptions, device: str) -> GeneratedText:
    """One text, as it is drawn."""
    loaded = load_for_sampling(run, checkpoint, options.precision, device)
    generator = build_generator(loaded, options, device)
    return GeneratedText(options.prompt, generator.stream_generate(), loaded.settings.direction == "backward")


def sample_texts(
    run: str | None,
    checkpoint: str,
    options: SamplingOptions,
    strategy: DrawStrategy,
    device: str,
    novelty_of: str | None = None,
) -> list[dict[str, Any]]:
    """Whole texts, each with what is known of it: `text`; where asked for, `nats_per_character` and `novelty`.

    Args:
        novelty_of: a corpus to look for the texts in; empty for the run's own.
    """
    strategy.check()
    loaded = load_for_sampling(run, checkpoint, options.precision, device)
    corpus = None if novelty_of is None else open_corpus_for(loaded, novelty_of or None)
    generator = build_generator(loaded, options, device)
    results: list[dict[str, Any]]
    if strategy.best_of > 1 or strategy.beams > 1:
        if strategy.beams > 1 and loaded.settings.direction == "backward":
            raise UsageError("beams grow forward, and this model writes backward", "use --best-of")
        text, nats = (
            beam_search(generator, strategy.beams)
            if strategy.beams > 1
            else generator.generate_best(strategy.best_of, unbatched=strategy.unbatched)
        )
        results = [{"text": text, "nats_per_character": nats}]
    else:
        starts = range(0, strategy.count, _MAX_BATCH_SIZE)
        sizes = [min(_MAX_BATCH_SIZE, strategy.count - start) for start in starts]
        texts = chain.from_iterable(
            generator.generate_batch(size, first=start, unbatched=strategy.unbatched)
            for start, size in zip(starts, sizes, strict=True)
        )
        results = [{"text": text} for text in texts]
    if corpus is not None:
        reports = measure_novelty([each["text"] for each in results], training_texts(corpus))
        results = [{**each, "novelty": asdict(report)} for each, report in zip(results, reports, strict=True)]
    return results


def open_session(run: str | None, checkpoint: str, precision: StepPrecision, device: str) -> tuple[Session, Vocab]:
    """A conversation with a run.

    Raises:
        UsageError: the model writes backward.
    """
    loaded = load_for_sampling(run, checkpoint, precision, device)
    if loaded.settings.direction == "backward":
        raise UsageError("a backward model cannot go on from what is said", "leave --interactive out")
    model_id = storage.sha256(loaded.directory / "model.safetensors")
    return Session(loaded.model, loaded.vocab, choose_device(device), f"{model_id} {precision}"), loaded.vocab


def plan_sampling(options: SamplingOptions, vocab: Vocab) -> SamplingPlan:
    """
    Raises:
        UsageError: wishes that contradict each other, or that no text can fulfil.
    """
    options.check()
    return SamplingPlan(
        options.length,
        sort_filters(options.filters),
        options.seed,
        options.stop_strings,
        build_constraint(options, vocab),
        options.precision,
        options.penalty_window,
    )


def build_constraint(options: SamplingOptions, vocab: Vocab) -> Constraint | None:
    """
    Raises:
        UsageError: no text of that length can do what is wished.
    """
    if options.only is not None or options.never:
        return CharacterConstraint(CharacterAutomaton(options.only, options.never), vocab)
    if options.regex is None and not options.must_contain:
        return None
    automaton = (
        RegexAutomaton(options.regex) if options.regex is not None else MustContainAutomaton(options.must_contain)
    )
    constraint: TokenConstraint[Any] = TokenConstraint(automaton, vocab)
    least = constraint.automaton.distance(constraint.start)
    if least > options.length:
        raise UsageError(
            f"no text of {options.length} characters can be such: {least} are the least", "give a larger --length"
        )
    return constraint
