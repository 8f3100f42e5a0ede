"""From the options as typed to what the sampling loop needs: filters in their order, a constraint on the ids.

SamplingOptions, vocabulary ──plan_sampling──> SamplingPlan
"""

from dataclasses import dataclass

from charlm.sampling.constraints.base import Constraint
from charlm.sampling.constraints.build import build_constraint
from charlm.sampling.filters import Filter, Temperature, build_filters
from charlm.sampling.options import SamplingOptions, StepPrecision, parse_precision
from charlm.vocab.base import Vocab


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How a text is drawn, with everything resolved."""

    length: int
    """Characters."""
    filters: tuple[Filter, ...] = (Temperature(1.0),)
    """In the order in which they are applied (`sort_filters`)."""
    seed: int = 0
    stop_strings: tuple[str, ...] = ()
    constraint: Constraint | None = None
    precision: StepPrecision = "fp32"
    penalty_window: int = 64
    """Recent tokens that the penalties look back on."""
    single_document: bool = False
    """Whether a text ends with its document, as the model knows no other one."""

    @property
    def ends_at_eod(self) -> bool:
        """Whether a text ends at the first <eod>."""
        return self.single_document or (self.constraint is not None and self.constraint.ends_at_eod)


def plan_sampling(options: SamplingOptions, vocab: Vocab, *, single_document: bool = False) -> SamplingPlan:
    """Resolve the options for a vocabulary.

    Args:
        single_document: whether a text ends with its document.

    Raises:
        UsageError: no text of that length, or none that the vocabulary can spell, satisfies the options.
    """
    return SamplingPlan(
        options.length,
        build_filters(options),
        options.seed,
        tuple(options.stop),
        build_constraint(options, vocab),
        parse_precision(options.precision),
        options.penalty_window,
        single_document,
    )
