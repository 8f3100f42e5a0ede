"""Settings of heads, torch-free. `build()` imports the implementation."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from charlm.nn.setting_types import Probability
from charlm.settings import Settings

if TYPE_CHECKING:
    from charlm.nn.embeddings.token import Embedding
    from charlm.nn.heads.softmax import Head


class SoftmaxSettings(Settings):
    """One linear layer and a softmax over the vocabulary."""

    type: Literal["softmax"] = "softmax"
    tied: bool = False
    """Use the embedding's vectors as the weights (Press & Wolf, 2017), behind a projection where the sizes differ."""
    label_smoothing: Probability = 0.0
    """Share of the target's probability that training spreads over the vocabulary; no figure is of smoothed targets."""

    def build(self, features_size: int, vocab_size: int, embedding: "Embedding") -> "Head":
        """
        Raises:
            SettingsError: tied to an embedding that has no vector for each id.
        """
        from charlm.nn.heads.softmax import build_softmax

        return build_softmax(self, features_size, vocab_size, embedding)


class AdaptiveSoftmaxSettings(Settings):
    """The frequent ids in a first softmax, the rare ones in clusters behind it (Grave et al., 2017): for many words."""

    type: Literal["adaptive"] = "adaptive"
    cutoffs: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Numbers of most frequent ids at which a cluster ends, rising, like [2000, 10000]; empty: a 20th and a 5th."""
    div_value: float = Field(default=4.0, ge=1)
    """Each cluster sees the features projected to this many times fewer dimensions than the cluster before."""
    label_smoothing: Probability = 0.0
    """Share of the target's probability that training spreads over the vocabulary; no figure is of smoothed targets."""

    @field_validator("cutoffs")
    @classmethod
    def _check_cutoffs_rise(cls, cutoffs: tuple[int, ...]) -> tuple[int, ...]:
        if list(cutoffs) != sorted(set(cutoffs)):
            raise ValueError("the cutoffs must rise, each once, like [2000, 10000]")
        return cutoffs

    def build(self, features_size: int, vocab_size: int, embedding: "Embedding") -> "Head":
        """
        Raises:
            SettingsError: the vocabulary is too small for the cutoffs.
        """
        from charlm.nn.heads.adaptive import build_adaptive

        del embedding
        return build_adaptive(self, features_size, vocab_size)


HeadSettings = Annotated[SoftmaxSettings | AdaptiveSoftmaxSettings, Field(discriminator="type")]
