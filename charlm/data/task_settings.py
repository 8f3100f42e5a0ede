"""Settings of tasks: what a model predicts. Pure data; `charlm/training/tasks/build.py` makes the task.

language   the next token                     classify   one label for each document
tag        a tag for each character that has one
generate   the next token of a text that belongs to a given label
transduce  the next token of a text that is made from another, given one
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, TypeAdapter, ValidationError

from charlm.settings import Settings, settings_classes, type_names
from charlm.text.examples.example import TargetKind
from charlm.text.examples.settings import ChangeName
from charlm.text.settings import MixSettings, SingleSource


class _Task(Settings):
    """What the rest of charlm asks about a task, so that it need not know one by its name."""

    noun: ClassVar[str]
    """What a model predicts, in the plural."""
    has_labels: ClassVar[bool] = True
    """Whether a model predicts names of labels.json, and not ids of the vocabulary."""
    has_conditions: ClassVar[bool] = False
    """Whether a model is given a condition for each document, such as its label."""
    per_document: ClassVar[bool] = False
    """Whether there is one label for each document, and not one for each of some characters."""
    needs_characters: ClassVar[bool] = False
    """Whether the vocabulary must give every character ids of its own, because something is predicted at characters."""
    target: ClassVar[TargetKind | None] = None
    """What an example has beside its text; None if a document needs only its text."""
    sources: ClassVar[tuple[str, ...]]
    """The kinds of sources that give what is predicted."""
    model_kind: ClassVar[str]
    """What a model of this task is, as a noun phrase, for its card."""
    hub_pipeline: ClassVar[str]
    """The name of the Hugging Face hub for what a model does."""

    @property
    def needs_examples(self) -> bool:
        """Whether a document needs more than its text."""
        return self.target is not None

    @property
    def asked_characters(self) -> str | None:
        """Where tags are asked for in a text that has none; None: nowhere."""
        return None

    @property
    def restores_words(self) -> bool:
        """Whether what is predicted makes words whole again that have lost marks or capital letters."""
        return self.asked_characters in ("marks", "case")


class LanguageTaskSettings(_Task):
    """Predict the next token of a text."""

    noun = "tokens"
    has_labels = False
    sources = tuple(type_names(SingleSource | MixSettings))
    model_kind = "A language model that reads and writes text"
    hub_pipeline = "text-generation"

    type: Literal["language"] = "language"


class ClassifyTaskSettings(_Task):
    """Predict the label of each document."""

    noun = "labels"
    per_document = True
    target = "label"
    sources = ("table", "classes", "hub")
    model_kind = "A model that predicts the label of a text"
    hub_pipeline = "text-classification"

    type: Literal["classify"] = "classify"


class TagTaskSettings(_Task):
    """Predict the tag of each character that has one, for example the part of speech at the last character of a
    word."""

    noun = "tags"
    needs_characters = True
    target = "tags"
    sources = ("table", "conllu", "derived", "hub")
    model_kind = "A model that predicts tags in a text"
    hub_pipeline = "token-classification"

    type: Literal["tag"] = "tag"
    scheme: Literal["auto", "free", "segments"] = "auto"
    """auto: segments for the words of `--source conllu`, free for other tags. free: any tag may follow any other.
    segments: tags cut the text into segments, such as words. B-X begins one of kind X, I-X continues it, O is outside.
    Only sequences that mean something are predicted; segments are scored."""
    asks: Literal["auto", "solid", "words", ChangeName] = "auto"
    """Where `charlm predict` asks for tags in a text that has none. solid: at all characters but blanks. words:
    at the last character of each word. marks, case, blanks: where `--source derived` has removed them. auto: as in the
    training examples."""

    @property
    def asked_characters(self) -> str:
        return self.asks


class GenerateTaskSettings(_Task):
    """Predict the next token of a document that belongs to a given label."""

    noun = "labels"
    has_labels = False
    has_conditions = True
    per_document = True
    target = "label"
    sources = ("table", "classes", "hub")
    model_kind = "A language model that writes texts for a label"
    hub_pipeline = "text-generation"

    type: Literal["generate"] = "generate"


class TransduceTaskSettings(_Task):
    """Predict the next token of a text that is made from another one, such as the pronunciation of a word."""

    noun = "target texts"
    has_labels = False
    has_conditions = True
    target = "target"
    sources = ("table", "aligned", "derived", "hub")
    model_kind = "A model that writes a text for a text"
    hub_pipeline = "text2text-generation"

    type: Literal["transduce"] = "transduce"
    source_vocab: Literal["char", "byte", "shared"] = "char"
    """The vocabulary of the texts that are read. char: their characters. byte: UTF-8 bytes. shared: one vocabulary of
    the kind of `corpus.vocab`, learned from both texts."""
    source_normalize: Literal["none", "nfc", "nfd"] = "none"
    """Unicode normalisation of the texts that are read, also by `charlm predict`. nfd takes letters with marks apart,
    and Hangul syllables into their letters. `corpus.normalize` is for the texts that are written."""


TaskSettings = Annotated[
    LanguageTaskSettings | ClassifyTaskSettings | TagTaskSettings | GenerateTaskSettings | TransduceTaskSettings,
    Field(discriminator="type"),
]

LANGUAGE_TASK = LanguageTaskSettings()

EXAMPLE_TASKS: Mapping[str, type[_Task]] = {
    kind.model_fields["type"].default: kind
    for kind in cast("Iterator[type[_Task]]", settings_classes(TaskSettings))
    if kind.target is not None
}
"""The tasks that need examples, by their `type`."""

_TASK: TypeAdapter[TaskSettings] = TypeAdapter(TaskSettings)


def parse_task(metadata: Mapping[str, Any]) -> TaskSettings:
    """Return the task that corpus.json or model.json names; without one, it is the next token.

    Raises:
        ValueError: there is no such task.
    """
    if "task" not in metadata:
        return LANGUAGE_TASK
    try:
        return _TASK.validate_python(metadata["task"])
    except ValidationError as error:
        raise ValueError(f"unknown task {metadata['task']}") from error
