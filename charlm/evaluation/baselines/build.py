"""Build baselines from their settings. The implementations are imported when one is built."""

from importlib.util import find_spec
from typing import assert_never

from charlm.evaluation.baselines.result import Baseline
from charlm.evaluation.baselines.settings import (
    MIB,
    Bz2Settings,
    KneserNeySettings,
    PpmdSettings,
    SimpleKind,
    UniformSettings,
    UnigramSettings,
    XzSettings,
    ZstdSettings,
)


def build_baseline(settings: SimpleKind) -> Baseline:
    from charlm.evaluation.baselines.compressed import CompressorBaseline, MissingBaseline
    from charlm.evaluation.baselines.compressors import Bz2, Ppmd, Xz, Zstd
    from charlm.evaluation.baselines.frequencies import UniformBaseline, UnigramBaseline
    from charlm.evaluation.baselines.ngram import KneserNeyBaseline

    match settings:
        case UniformSettings():
            return UniformBaseline()
        case UnigramSettings():
            return UnigramBaseline()
        case KneserNeySettings():
            return KneserNeyBaseline(settings)
        case PpmdSettings():
            ppmd = Ppmd(settings.order, settings.memory_mib * MIB)
            return CompressorBaseline(ppmd) if find_spec("pyppmd") else MissingBaseline(ppmd.name, "pyppmd")
        case XzSettings():
            return CompressorBaseline(Xz(settings.max_dictionary_mib * MIB))
        case ZstdSettings():
            return CompressorBaseline(Zstd())
        case Bz2Settings():
            return CompressorBaseline(Bz2())
    assert_never(settings)
