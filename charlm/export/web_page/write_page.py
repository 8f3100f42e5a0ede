"""Write an exported model as a page, and say what is in it."""

from collections.abc import Iterator, Sequence
from typing import IO

from charlm.export.exported_model import ExportedModel
from charlm.export.web_page.build_page import DEFAULT_MAX_BYTES, BuiltPage, build_page
from charlm.export.web_page.facts import describe_model
from charlm.export.web_page.supported import check_supported
from charlm.formatting import format_count


def write_page(model: ExportedModel, file: IO[bytes]) -> Sequence[str]:
    """Write the page; return what its user should know.

    Raises:
        UsageError: a page cannot run the model.
        OptionError: `max_bytes` is too small.
    """
    check_supported(model.loaded, model.name)
    max_bytes = DEFAULT_MAX_BYTES if model.options.max_bytes is None else model.options.max_bytes
    page = build_page(model.loaded, model.name, max_bytes=max_bytes, facts=describe_model(model))
    content = page.text.encode()
    file.write(content)
    return tuple(_notes(page, len(content)))


def _notes(page: BuiltPage, num_bytes: int) -> Iterator[str]:
    yield f"the page has {num_bytes:,} bytes"
    if page.context_bits == 8:
        yield "the vectors of context n-grams are rounded to 8 bits, so that they fit; --max-bytes is the limit"
    if page.num_ngrams < page.num_ngrams_of_model:
        left_out, of = map(format_count, (page.num_ngrams_of_model - page.num_ngrams, page.num_ngrams_of_model))
        yield f"{left_out} of {of} n-grams, the rarest, are left out; --max-bytes is the limit"
    if page.num_ngrams:
        yield "the page holds n-grams of the training text: whoever has it can read them"
