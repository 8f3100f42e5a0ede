"""Settings of conditions, torch-free; `build.py` makes the models."""

from typing import Annotated, Literal

from pydantic import Field

from charlm.settings import Settings


class NoConditionSettings(Settings):
    """The network is given nothing: the same task for comparison, without what it could know."""

    type: Literal["none"] = "none"


class LabelConditionSettings(Settings):
    """A label that the text belongs to, for `--task generate`."""

    type: Literal["label"] = "label"
    into: Literal["input", "state"] = "input"
    """Where the label goes. input: a vector of the label is added to the embedding of every token. state: the label
    chooses the initial state of the body."""


ConditionSettings = Annotated[NoConditionSettings | LabelConditionSettings, Field(discriminator="type")]
