"""Settings of `charlm baseline`: the baselines, and the settings of each."""

from typing import Annotated, Literal

from pydantic import Field

from charlm.settings import Settings

MIB = 1 << 20


class UniformSettings(Settings):
    """Every id of the vocabulary is equally likely."""

    type: Literal["uniform"] = "uniform"


class UnigramSettings(Settings):
    """The frequencies of ids in the training text, without context; one is added to every count."""

    type: Literal["unigram"] = "unigram"


class KneserNeySettings(Settings):
    """Interpolated modified Kneser-Ney over n-grams of ids (Chen & Goodman, 1999)."""

    type: Literal["kneser_ney"] = "kneser_ney"
    order: int = Field(default=8, ge=1, le=10)
    """Length of the longest n-grams: each id is predicted from at most `order - 1` ids before it."""
    memory_mib: int = Field(default=2048, ge=16)
    """MiB for counting and tables. Where they need more, the order is lowered, and the result says so."""


class PpmdSettings(Settings):
    """PPMd, variant H (Shkarin, 2002), as in 7-Zip. Needs the package pyppmd."""

    type: Literal["ppmd"] = "ppmd"
    order: int = Field(default=16, ge=2, le=64)
    """Length of the longest context in bytes."""
    memory_mib: int = Field(default=256, ge=1, le=4095)
    """MiB for the model; when they are full, the model starts again."""


class XzSettings(Settings):
    """xz, preset 9 extreme."""

    type: Literal["xz"] = "xz"
    max_dictionary_mib: int = Field(default=256, ge=64, le=1536)
    """Longest dictionary in MiB. A text longer than the preset's 64 MiB gets a dictionary as long as the text, up to
    this. xz needs about eleven times its dictionary in memory."""


class ZstdSettings(Settings):
    """zstd at its highest level, 22."""

    type: Literal["zstd"] = "zstd"


class Bz2Settings(Settings):
    """bzip2 with blocks of 900 kB. Each block is compressed alone, so earlier text hardly helps."""

    type: Literal["bz2"] = "bz2"


class ArchiveSettings(Settings):
    """An archive of the split by `charlm compress`, and the same with its model inside."""

    type: Literal["archive"] = "archive"
    run: str = Field(default="bundled", min_length=1)
    """The run whose model compresses, by name, directory or address; the bundled model if left out."""
    lanes: int | None = Field(default=None, ge=1, le=256)
    """As `--lanes` of `charlm compress`."""


SimpleKind = (
    UniformSettings | UnigramSettings | KneserNeySettings | PpmdSettings | XzSettings | ZstdSettings | Bz2Settings
)
"""The baselines that need no run."""
BaselineKind = Annotated[SimpleKind | ArchiveSettings, Field(discriminator="type")]


class BaselineSettings(Settings):
    """The baselines that `charlm baseline` scores."""

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
    """The baselines, in the order of the results; all but `archive`, which is slow, if left out. A kind may occur more
    than once, with different settings: `baselines=[{type="kneser_ney", order=4}, {type="kneser_ney", order=8}]`."""
