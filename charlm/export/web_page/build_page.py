"""A model as the text of one HTML file.

model ── cells rounded to 8 bits ──> network ─────────────────────────┐
     └── n-grams, as many as the limit leaves room for ──> tables ────┴──> the page
"""

from dataclasses import dataclass
from typing import Any

from charlm.checkpoint import LoadedModel
from charlm.errors import OptionError
from charlm.export.web_page.facts import Facts
from charlm.export.web_page.network import ContextBits, describe_network, round_context_vectors
from charlm.export.web_page.ngram_tables import add_tables, describe_mixture
from charlm.export.web_page.page import Section, render_page
from charlm.export.web_page.supported import check_supported
from charlm.export.web_page.tensors import TensorBlock
from charlm.export.web_page.vocabulary import describe_vocabulary
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.ngrams.pruning import prune_tables
from charlm.nn.ngrams.tables import NgramTables
from charlm.nn.quantize import quantize_cells

DEFAULT_MAX_BYTES = 32_000_000

_NETWORK, _TABLES = "weights", "tables"
_SAFETY = 0.98
"""The part of the room that n-grams are meant to take, since fewer of them do not compress quite as well."""


@dataclass(frozen=True)
class BuiltPage:
    """A page, and what it holds of its model."""

    text: str
    context_bits: ContextBits | None
    """Bits of the numbers in the vectors of context n-grams; None without such vectors."""
    num_ngrams: int
    """Of the n-gram component."""
    num_ngrams_of_model: int


@dataclass(frozen=True)
class _Parts:
    spec: dict[str, Any]
    sections: dict[str, Section]

    def add_tables(self, tables: NgramTables) -> int:
        """Add tables of n-grams, in place of those that were added before; return the bytes that they take."""
        block = TensorBlock()
        self.spec["ngrams"]["orders"] = add_tables(block, tables)
        self.sections[_TABLES] = Section.of(block)
        return self.sections[_TABLES].size


def build_page(loaded: LoadedModel, name: str, *, max_bytes: int = DEFAULT_MAX_BYTES, facts: Facts = ()) -> BuiltPage:
    """Build a page that runs a model in a browser, without a server.

    If it would be larger than `max_bytes`, the vectors of context n-grams are rounded to 8 bits, and the rarest n-grams
    of the n-gram component are left out, of equally rare ones the longest first.

    Args:
        loaded: on the CPU. Its model becomes the one in the page: cells rounded to 8 bits, and without what was left
            out.
        name: of the model, the title of the page.
        facts: what the page shows under its title.

    Raises:
        UsageError: a page cannot run the model.
        OptionError: `max_bytes` is too small for the model without n-grams.
    """
    check_supported(loaded, name)
    model = loaded.model.eval()
    quantize_cells(model)
    context_bits: ContextBits | None = 32 if isinstance(model.embedding, ContextEmbedding) else None
    parts = _describe(loaded, 32)
    if context_bits is not None and _size(name, facts, parts) > max_bytes:
        context_bits = 8
        round_context_vectors(model)
        parts = _describe(loaded, 8)
    needed = _size(name, facts, parts)
    if needed > max_bytes:
        raise OptionError(
            "{max_bytes} {limit} is too small: the page of {name} has at least {needed} bytes",
            "give {max_bytes} {needed} or more, or name a smaller model",
            limit=max_bytes,
            name=name,
            needed=needed,
        )
    num_ngrams = num_ngrams_of_model = 0
    if isinstance(model, NgramLanguageModel):
        lookup = model.ngram_head.lookup
        num_ngrams_of_model = lookup.tables.num_ngrams
        kept = _fit_tables(parts, lookup.tables, max_bytes - needed)
        lookup.set_tables(kept, lookup.unigrams_V.device, lookup.unigrams_V.dtype)
        num_ngrams = kept.num_ngrams
    text = "".join(render_page(name, facts, parts.spec, parts.sections))
    return BuiltPage(text, context_bits, num_ngrams, num_ngrams_of_model)


def _describe(loaded: LoadedModel, context_bits: ContextBits) -> _Parts:
    """Describe the model, with tables that hold no n-grams."""
    block = TensorBlock()
    spec: dict[str, Any] = {
        "vocab_size": loaded.vocab.size,
        "vocabulary": describe_vocabulary(loaded.vocab),
        "network": describe_network(block, loaded.model, context_bits),
        "ngrams": None,
    }
    parts = _Parts(spec, {})
    if isinstance(loaded.model, NgramLanguageModel):
        head = loaded.model.ngram_head
        spec["ngrams"] = {"mixture": describe_mixture(block, head)}
        parts.add_tables(prune_tables(head.lookup.tables, 0))
    parts.sections[_NETWORK] = Section.of(block)
    return parts


def _size(name: str, facts: Facts, parts: _Parts) -> int:
    frame = sum(len(piece.encode()) for piece in render_page(name, facts, parts.spec, {}))
    return frame + sum(section.size for section in parts.sections.values())


def _fit_tables(parts: _Parts, tables: NgramTables, room: int) -> NgramTables:
    """Add tables that take at most `room` bytes more than those without n-grams in the parts, and return them."""
    empty, kept = parts.sections[_TABLES].size, tables
    while (size := parts.add_tables(kept) - empty) > room and kept.num_ngrams:
        kept = prune_tables(tables, int(_SAFETY * kept.num_ngrams * room / size))
    return kept
