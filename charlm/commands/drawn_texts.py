"""The texts of `charlm sample --count`, `--best-of`, `--beams` and `--novelty`: for people, or as JSON."""

import sys
from typing import TYPE_CHECKING, Any

from charlm import terminal

if TYPE_CHECKING:
    from charlm.workflows.sample import DrawnTexts


def print_texts_json(about: dict[str, Any], drawn: "DrawnTexts", *, is_list: bool) -> None:
    """Print one object: what was asked, the texts, and notes if there are any."""
    notes = {"notes": list(drawn.notes)} if drawn.notes else {}
    texts = {"texts": drawn.texts} if is_list else drawn.texts[0]
    terminal.print_json({**about, **texts, **notes})


def print_texts(prompt: str, drawn: "DrawnTexts") -> None:
    """Print notes and texts, a heading before each if there are several, and what was measured of each after it."""
    for line in drawn.notes:
        terminal.note(line)
    for number, each in enumerate(drawn.texts):
        if len(drawn.texts) > 1:
            print(f"{'' if number == 0 else chr(10)}--- {number + 1} of {len(drawn.texts)}")
        terminal.write(each["text"] + prompt if drawn.is_before_prompt else prompt + each["text"])
        sys.stdout.write("\n")
        if "nats_per_character" in each:
            terminal.note(f"{each['nats_per_character']:.4f} nats per character")
        if "novelty" in each:
            found = each["novelty"]
            share = "-" if found["share"] is None else f"{found['share']:.1%}"
            longest = terminal.printable(found["longest"].replace("\n", " "))
            terminal.note(
                f"{share} of its 10-grams occur in the training text; the longest passage that does has"
                f" {len(found['longest'])} characters: {longest}"
            )
