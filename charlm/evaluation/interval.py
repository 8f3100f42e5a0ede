"""The 95 % interval of a score, and of the difference of two scores: the bootstrap over units of text.

    bits = sum of nats / ln 2 / sum of characters          a ratio of two sums, so whole units are drawn

The interval covers the sampling of text. It does not cover the variance between seeds. Two models are compared on the
same draws: what both have in common (a hard document is hard for both) cancels, so that small differences are detected.

U units, R replicates.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_NUM_REPLICATES = 2000
_CONFIDENCE = 0.95
_MIN_UNITS = 5
_NORMAL_QUANTILE = 1.959964  # the 97.5 % quantile
_MAX_ELEMENTS = 1 << 22

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BitsDifference:
    """Bits per character of the first model minus those of the second, with the 95 % interval of the difference."""

    bits: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def bootstrap_interval(nats_U: Floats, characters_U: Counts, *, seed: int = 0) -> tuple[float, float] | None:
    """Return the 95 % interval of bits per character, or None with fewer than 5 units.

    These are percentiles of the ratio over replicates (Efron & Tibshirani, 1993, chapter 13), stretched about the ratio
    by two factors: until the spread equals the jackknife's standard error (documents differ in length, and replicates
    vary less than corpora), and by the ratio of Student's t to the normal quantile (few units estimate the spread
    poorly).
    """
    return _resampled_interval(nats_U / math.log(2), characters_U, seed)


def compare_on_units(
    first_U: Floats, second_U: Floats, characters_U: Counts, *, seed: int = 0
) -> BitsDifference | None:
    """Return the difference of two models on the same units, or None with fewer than 5 units.

    Args:
        first_U: nats of the first model in each unit.
        second_U: nats of the second model in each unit.
    """
    bits_U = (first_U - second_U) / math.log(2)
    found = _resampled_interval(bits_U, characters_U, seed)
    return None if found is None else BitsDifference(float(bits_U.sum() / characters_U.sum()), *found)


def ratio_interval(numerators_U: Floats, denominators_U: Counts, *, seed: int = 0) -> tuple[float, float] | None:
    """Return the 95 % interval of a ratio of two sums over units, or None with fewer than 5 units."""
    return _resampled_interval(numerators_U, denominators_U, seed)


def share_interval(numerators_U: Floats, denominators_U: Counts, *, seed: int = 0) -> tuple[float, float] | None:
    """Return the 95 % interval of a proportion, from 0 to 1 at most, or None with fewer than 5 units."""
    found = ratio_interval(numerators_U, denominators_U, seed=seed)
    return None if found is None else (max(0.0, found[0]), min(1.0, found[1]))


def _resampled_interval(bits_U: Floats, characters_U: Counts, seed: int) -> tuple[float, float] | None:
    if len(bits_U) < _MIN_UNITS or not np.isfinite(bits_U).all() or characters_U.sum() == 0:
        return None
    total = int(characters_U.sum())
    ratio = float(bits_U.sum()) / total
    rng = np.random.default_rng(seed)
    replicates: list[Floats] = []
    rows = max(1, _MAX_ELEMENTS // len(bits_U))
    for start in range(0, _NUM_REPLICATES, rows):
        sampled_RU = rng.integers(len(bits_U), size=(min(rows, _NUM_REPLICATES - start), len(bits_U)))
        replicates.append(bits_U[sampled_RU].sum(1) / np.maximum(characters_U[sampled_RU].sum(1), 1))
    ratios_R = np.concatenate(replicates)
    spread = float(ratios_R.std())
    if spread == 0:
        return ratio, ratio
    low, high = np.quantile(ratios_R, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    stretch = _jackknife_error(bits_U, characters_U) / spread * _student_t_quantile(len(bits_U) - 1) / _NORMAL_QUANTILE
    return ratio + (float(low) - ratio) * stretch, ratio + (float(high) - ratio) * stretch


def _student_t_quantile(degrees_of_freedom: int) -> float:
    """The 97.5 % quantile of Student's t (Abramowitz & Stegun, 1964, 26.7.5); to 0.01 from 4 degrees of freedom on."""
    z, v = _NORMAL_QUANTILE, degrees_of_freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / v**power for power, term in enumerate(terms, start=1))


def _jackknife_error(bits_U: Floats, characters_U: Counts) -> float:
    """The jackknife's standard error of sum(bits) / sum(characters), by leaving out each unit in turn."""
    total = int(characters_U.sum())
    left_out_U = (bits_U.sum() - bits_U) / np.maximum(total - characters_U, 1)
    num_units = len(bits_U)
    return math.sqrt((num_units - 1) / num_units * ((left_out_U - left_out_U.mean()) ** 2).sum())
