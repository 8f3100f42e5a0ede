"""Settings of tasks: what a model predicts. Pure data; `charlm/tasks/build.py` makes the task.

language   the next token                     classify   one label for each document
tag        a tag for each character that has one
"""

from typing import Annotated, Literal

from pydantic import Field

from charlm.settings import Settings


class LanguageTaskSettings(Settings):
    """Predict the next token of a text."""

    type: Literal["language"] = "language"

    @property
    def type_noun(self) -> str:
        """What a model of this task predicts, in the plural."""
        return "tokens"


class ClassifyTaskSettings(Settings):
    """Predict the label of each document."""

    type: Literal["classify"] = "classify"

    @property
    def type_noun(self) -> str:
        """What a model of this task predicts, in the plural."""
        return "labels"


class TagTaskSettings(Settings):
    """Predict the tag of each character that has one, for example the part of speech at the last character of a
    word."""

    type: Literal["tag"] = "tag"
    scheme: Literal["auto", "free", "segments"] = "auto"
    """auto: segments for the words of `--source conllu`, free for other tags. free: any tag may follow any other.
    segments: tags cut the text into segments, such as words. B-X begins one of kind X, I-X continues it, O is outside.
    Only sequences that mean something are predicted; segments are scored."""
    asks: Literal["auto", "solid", "words", "marks", "case", "blanks"] = "auto"
    """Where `charlm predict` asks for tags in a text that has none. solid: at all characters but blanks. words:
    at the last character of each word. marks, case, blanks: where `--source derived` has removed them. auto: as in the
    training examples."""

    @property
    def type_noun(self) -> str:
        """What a model of this task predicts, in the plural."""
        return "tags"


TaskSettings = Annotated[LanguageTaskSettings | ClassifyTaskSettings | TagTaskSettings, Field(discriminator="type")]

LANGUAGE_TASK = LanguageTaskSettings()
