"""How far the probabilities of a model of labels can be believed, and the temperature that mends them.

    expected calibration error   sum over bins of confidence: documents / all * |accuracy - mean confidence|
    temperature                  the T with which softmax(log p / T) has the lowest loss on validation labels

Guo et al. (2017), equations 3 and 9.

N labels asked for, L labels.
"""

import numpy as np
import numpy.typing as npt

_NUM_BINS = 15
_TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 65))

Floats = npt.NDArray[np.floating]
Ids = npt.NDArray[np.int64]


def expected_calibration_error(confidence_N: Floats, is_correct_N: npt.NDArray[np.bool_]) -> float | None:
    """Return the error over 15 bins of equal width; None without labels, or where a model's numbers overflow.

    Args:
        confidence_N: the probability of the chosen label.
    """
    if not len(confidence_N) or not np.isfinite(confidence_N).all():
        return None
    bin_N = np.minimum((confidence_N * _NUM_BINS).astype(np.int64), _NUM_BINS - 1)
    confidence_B = np.bincount(bin_N, confidence_N, _NUM_BINS)
    correct_B = np.bincount(bin_N, is_correct_N, _NUM_BINS)
    return float(np.abs(correct_B - confidence_B).sum() / len(confidence_N))


class TemperatureFit:
    """The loss of validation labels at each of 65 temperatures from 0.2 to 5, added up piece by piece."""

    def __init__(self) -> None:
        self._nats_T = np.zeros(len(_TEMPERATURES))

    def add(self, log_p_NL: Floats, targets_N: Ids) -> None:
        """Add labels, without those that training has never seen (-1)."""
        seen = np.flatnonzero(targets_N >= 0)
        log_p_NL, targets_N = log_p_NL[seen].astype(np.float64), targets_N[seen]
        target_log_p_N = log_p_NL[np.arange(len(seen)), targets_N]
        for index, temperature in enumerate(_TEMPERATURES):
            scaled_NL = log_p_NL / temperature
            peak_N = scaled_NL.max(1, initial=-np.inf)
            log_sum_N = peak_N + np.log(np.exp(scaled_NL - peak_N[:, None]).sum(1))
            self._nats_T[index] += float((log_sum_N - target_log_p_N / temperature).sum())

    @property
    def temperature(self) -> float:
        """The best temperature; 1 if no label was added."""
        if not self._nats_T.any():
            return 1.0
        return float(_TEMPERATURES[self._nats_T.argmin()])


def confidence_at(log_p_NL: Floats, chosen_N: Ids, temperature: float) -> npt.NDArray[np.float64]:
    """Return the probability of the chosen labels at a temperature, (N,)."""
    scaled_NL = log_p_NL.astype(np.float64) / temperature
    peak_N1 = scaled_NL.max(1, initial=-np.inf, keepdims=True)
    p_NL = np.exp(scaled_NL - peak_N1)
    return p_NL[np.arange(len(chosen_N)), chosen_N] / p_NL.sum(1)
