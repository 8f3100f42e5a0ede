"""Settings of `charlm baseline`: which baselines, and how each is set."""

from typing import Annotated, Literal

from pydantic import Field

from charlm.settings import Settings

MIB = 1 << 20


class UniformSettings(Settings):
    """Every id of the vocabulary is equally likely: what knowing nothing costs."""

    type: Literal["uniform"] = "uniform"


class UnigramSettings(Settings):
    """Each id as often as in the training text, whatever stands before it; one is added to every count."""

    type: Literal["unigram"] = "unigram"


class KneserNeySettings(Settings):
    """Interpolated modified Kneser-Ney over n-grams of ids (Chen & Goodman, 1999)."""

    type: Literal["kneser_ney"] = "kneser_ney"
    order: int = Field(default=8, ge=1, le=10)
    """Length of the longest n-grams: each id is predicted from at most `order - 1` ids before it."""
    memory_mib: int = Field(default=2048, ge=16)
    """For counting and tables. Where they would take more, the order is lowered to what fits, and that is said."""


class PpmdSettings(Settings):
    """PPMd, variant H (Shkarin, 2002), as 7-Zip has it. Needs the extra `baselines`."""

    type: Literal["ppmd"] = "ppmd"
    order: int = Field(default=16, ge=2, le=64)
    """Bytes of the longest context."""
    memory_mib: int = Field(default=256, ge=1, le=4095)
    """For the model; when it is full, the model starts afresh."""


class XzSettings(Settings):
    """xz, preset 9 extreme."""

    type: Literal["xz"] = "xz"
    max_dictionary_mib: int = Field(default=256, ge=64, le=1536)
    """A text longer than the preset's 64 MiB gets a dictionary as long as it is, up to this. xz takes about eleven
    times its dictionary of memory."""


class ZstdSettings(Settings):
    """zstd at its highest level, 22."""

    type: Literal["zstd"] = "zstd"


class Bz2Settings(Settings):
    """bzip2 with blocks of 900 kB: each is compressed alone, so an earlier text hardly helps it."""

    type: Literal["bz2"] = "bz2"


BaselineKind = Annotated[
    UniformSettings | UnigramSettings | KneserNeySettings | PpmdSettings | XzSettings | ZstdSettings | Bz2Settings,
    Field(discriminator="type"),
]


class BaselineSettings(Settings):
    """What `charlm baseline` scores."""

    baselines: tuple[BaselineKind, ...] = Field(
        default=(
            UniformSettings(),
            UnigramSettings(),
            KneserNeySettings(),
            PpmdSettings(),
            XzSettings(),
            ZstdSettings(),
            Bz2Settings(),
        ),
        min_length=1,
    )
    """In this order. A kind may stand here more than once, with other settings:
    `baselines=[{type="kneser_ney", order=4}, {type="kneser_ney", order=8}]`."""
