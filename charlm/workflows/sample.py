"""Text from a run: one text, several, the best of several, or the most probable one; and how much of it is copied.

RUN ──load──> model ──prime──> TextGenerator ──stream, batch, best, beams──> text ──measure_novelty──> copied passages
"""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from charlm import storage, workspace
from charlm.checkpoint import LoadedModel
from charlm.data.corpus import Corpus, open_corpus
from charlm.device import Precision, choose_device
from charlm.errors import OptionError, UsageError
from charlm.nn.ngrams.files import NGRAMS_FILE
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.quantize import quantize_cells
from charlm.sampling.beam import beam_search
from charlm.sampling.generate import TextGenerator, prime_generator
from charlm.sampling.novelty import measure_novelty, training_texts
from charlm.sampling.options import SamplingOptions
from charlm.sampling.plan import plan_sampling
from charlm.sampling.session import Session
from charlm.suggestions.words import join_words
from charlm.vocab.base import Vocab
from charlm.workflows.given import NOTHING, Given
from charlm.workflows.load_run import load_run, open_training_corpus

_MAX_BATCH_SIZE = 1024
"""Texts that are drawn side by side; more are drawn in turns."""
_FILTERS = ("top_k", "typical_p", "top_p", "min_p")
_FOR_DRAWS = ("temperature", *_FILTERS, "repetition_penalty", "frequency_penalty", "penalty_window", "seed")
"""Options that a search for the most probable text does not use."""


@dataclass(frozen=True)
class GeneratedText:
    """Text from a run, piece by piece, and the prompt that it continues or leads to."""

    prompt: str
    pieces: Iterator[str]
    is_before_prompt: bool
    notes: tuple[str, ...] = ()
    """Which options change nothing here."""

    def with_prompt(self) -> Iterator[str]:
        """Prompt and text in the order in which they are read."""
        return chain(self.pieces, [self.prompt]) if self.is_before_prompt else chain([self.prompt], self.pieces)


@dataclass(frozen=True)
class DrawnTexts:
    """Whole texts from a run: dictionaries with `text` and, if asked for, `nats_per_character` and `novelty`."""

    texts: list[dict[str, Any]]
    is_before_prompt: bool
    notes: tuple[str, ...] = ()
    """Which options change nothing here."""


@dataclass(frozen=True)
class DrawStrategy:
    """How many texts are drawn, and which of them are kept.

    Raises:
        OptionError: more than one strategy.
    """

    count: int = 1
    best_of: int = 1
    """Draw so many texts and keep the one with the least nats per character."""
    beams: int = 1
    """Instead of drawing, search for the most probable text with so many beams."""
    unbatched: bool = False
    """Step each text by itself, so that none depends on the others by rounding either."""

    def __post_init__(self) -> None:
        given = {"{count}": self.count, "{best_of}": self.best_of, "{beams}": self.beams}
        conflicting = [name for name, number in given.items() if number > 1]
        if len(conflicting) > 1:
            raise OptionError(f"{' and '.join(conflicting)} do not go together", "give one of them")

    def check_options(self, given: Collection[str]) -> None:
        """Check that the options that were given have an effect.

        Args:
            given: names of options, such as `top_k`.

        Raises:
            OptionError: an option of a draw stands beside a search, or an option of several texts beside one text.
        """
        unused = [name for name in (*_FOR_DRAWS, "deterministic") if name in given]
        if self.beams > 1 and unused:
            names = join_words([f"{{{name}}}" for name in unused])
            has = "has" if len(unused) == 1 else "have"
            raise OptionError(
                f"{names} {has} no effect with {{beams}}, which searches and does not draw", f"leave {names} out"
            )
        if self.unbatched and not {"count", "best_of"} & {*given}:
            raise OptionError(
                "{deterministic} computes each of several texts by itself, and this is one text",
                "leave it out, or add {count} or {best_of}",
            )

    def describe_no_effect(self, options: SamplingOptions, vocab_size: int) -> tuple[str, ...]:
        """Return a sentence for each group of options whose values change nothing."""
        notes: list[str] = []
        unused = [name for name in _FILTERS if getattr(options, name) is not None]
        unused += ["seed"] if options.seed != SamplingOptions.seed else []
        if options.is_greedy and self.beams == 1 and (unused or self.count > 1 or self.best_of > 1):
            names = [f"--{name.replace('_', '-')}" for name in unused]
            has = "has" if len(unused) == 1 else "have"
            effects = [f"{join_words(names)} {has} no effect"] if unused else []
            effects += ["all texts are the same"] if self.count > 1 or self.best_of > 1 else []
            notes.append(f"--temperature 0 takes the most probable token each time: {', and '.join(effects)}")
        elif options.top_k is not None and options.top_k >= vocab_size:
            notes.append(f"--top-k {options.top_k} has no effect: the vocabulary has {vocab_size} tokens")
        return tuple(notes)


def sample_run(
    run: str | None, checkpoint: str | None, options: SamplingOptions, device: str, given: Given = NOTHING
) -> GeneratedText:
    """Generate one text, piece by piece.

    Args:
        given: what a conditional model is given.
    """
    loaded = load_for_sampling(run, checkpoint, options.precision, device, given)
    generator = build_generator(loaded, options, device)
    notes = DrawStrategy().describe_no_effect(options, loaded.vocab.size)
    return GeneratedText(options.prompt, generator.stream_generate(), _is_backward(loaded), notes)


def sample_texts(
    run: str | None,
    checkpoint: str | None,
    options: SamplingOptions,
    strategy: DrawStrategy,
    device: str,
    novelty_of: str | None = None,
    given: Given = NOTHING,
) -> DrawnTexts:
    """Generate whole texts.

    Args:
        given: what a conditional model is given.
        novelty_of: a corpus to search for the texts; an empty string for the run's own.
    """
    loaded = load_for_sampling(run, checkpoint, options.precision, device, given)
    corpus = None if novelty_of is None else _open_novelty_corpus(loaded, novelty_of)
    results = _draw_texts(build_generator(loaded, options, device), strategy)
    if corpus is not None:
        reports = measure_novelty([each["text"] for each in results], training_texts(corpus))
        results = [{**each, "novelty": asdict(report)} for each, report in zip(results, reports, strict=True)]
    return DrawnTexts(results, _is_backward(loaded), strategy.describe_no_effect(options, loaded.vocab.size))


def _is_backward(loaded: LoadedModel) -> bool:
    return loaded.settings.text_direction == "backward"


def _open_novelty_corpus(loaded: LoadedModel, given: str) -> Corpus:
    """Open the corpus whose text is searched, of any vocabulary; the model's own if none is given."""
    if given:
        return open_corpus(workspace.find_data(given))
    return open_training_corpus(loaded.directory, loaded.metadata["trained_on"])


def _draw_texts(generator: TextGenerator, strategy: DrawStrategy) -> list[dict[str, Any]]:
    if strategy.beams > 1:
        if generator.direction == "backward":
            raise UsageError("--beams needs a forward model, and this one writes backward", "use --best-of")
        text, nats = beam_search(generator, strategy.beams)
        return [{"text": text, "nats_per_character": nats}]
    if strategy.best_of > 1:
        text, nats = generator.generate_best(strategy.best_of, unbatched=strategy.unbatched)
        return [{"text": text, "nats_per_character": nats}]
    return [
        {"text": text}
        for start in range(0, strategy.count, _MAX_BATCH_SIZE)
        for text in generator.generate_batch(
            min(_MAX_BATCH_SIZE, strategy.count - start), first=start, unbatched=strategy.unbatched
        )
    ]


def open_session(
    run: str | None, checkpoint: str | None, precision: str, device: str, given: Given = NOTHING
) -> tuple[Session, Vocab, bool]:
    """Open a conversation with a run; return also its vocabulary, and whether the text ends with its document.

    Args:
        given: what a conditional model is given.

    Raises:
        UsageError: the model writes backward.
    """
    loaded = load_for_sampling(run, checkpoint, precision, device, given)
    if _is_backward(loaded):
        raise UsageError("--interactive needs a forward model, and this one writes backward", "leave it out")
    model_id = storage.sha256(loaded.directory / "model.safetensors")
    if isinstance(loaded.model, NgramLanguageModel):  # the state has numbers of contexts
        model_id += storage.sha256(loaded.directory / NGRAMS_FILE)
    reading: Precision = "bf16" if precision == "bf16" else "fp32"
    condition = "".join(f" {each}" for each in (*given.labels, given.source) if each is not None)
    session = Session(loaded.model, loaded.vocab, choose_device(device), f"{model_id} {precision}{condition}", reading)
    return session, loaded.vocab, loaded.task.has_conditions


def load_for_sampling(
    run: str | None, checkpoint: str | None, precision: str, device: str, given: Given = NOTHING
) -> LoadedModel:
    """Load a run's model, its cells rounded if the precision is int8.

    Args:
        given: what a conditional model is given.

    Raises:
        UsageError: the precision is int8 and the network has no cells.
    """
    loaded, _ = load_run(run, checkpoint, device, given=given)
    if precision == "int8":
        quantize_cells(loaded.model)
    return loaded


def build_generator(loaded: LoadedModel, options: SamplingOptions, device: str) -> TextGenerator:
    """Let the model read the prompt.

    Raises:
        UsageError: the model or its vocabulary cannot satisfy the options.
        DataError: the prompt has a character that the vocabulary cannot spell.
    """
    plan = plan_sampling(options, loaded.vocab, single_document=loaded.task.has_conditions)
    if plan.constraint is not None and _is_backward(loaded):
        raise OptionError(
            "a backward model cannot follow {regex}, {must_contain}, {only} and {never}", "leave them out"
        )
    chosen = choose_device(device)
    return prime_generator(loaded.model, loaded.vocab, options.prompt, plan, chosen, loaded.settings.text_direction)
