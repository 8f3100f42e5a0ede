"""Intervals of figures of labels cover what they should; calibration finds a known temperature."""

import numpy as np
import pytest

from charlm.evaluation.document_counts import DocumentCounts
from charlm.evaluation.label_calibration import TemperatureFit, confidence_at, expected_calibration_error
from charlm.evaluation.label_intervals import (
    accuracy_interval,
    compare_accuracy,
    compare_segments,
    macro_f1_interval,
)
from charlm.evaluation.label_score import LabelScore


def counts_of(correct: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> DocumentCounts:
    ones = np.ones_like(correct)
    return DocumentCounts(ones, correct, 2 * ones, 2 * ones, 2 * correct, ones, correct)


def test_the_interval_of_an_accuracy_covers_it_in_about_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        interval = accuracy_interval(counts_of((rng.random(300) < 0.8).astype(np.int64)))
        assert interval is not None
        covered += interval[0] <= 0.8 <= interval[1]
    assert 88 <= covered <= 100


def test_equal_models_do_not_differ_and_better_ones_do() -> None:
    rng = np.random.default_rng(1)
    weak = (rng.random(500) < 0.7).astype(np.int64)
    strong = np.maximum(weak, (rng.random(500) < 0.3).astype(np.int64))
    for compare in (compare_accuracy, compare_segments):
        same, better = compare(counts_of(weak), counts_of(weak)), compare(counts_of(strong), counts_of(weak))
        assert same is not None
        assert better is not None
        assert same.difference == 0
        assert not same.is_significant
        assert better.difference == pytest.approx((strong.sum() - weak.sum()) / 500)
        assert better.is_significant
        assert better.low < better.difference < better.high


def test_too_few_documents_have_no_interval() -> None:
    few = counts_of(np.array([1, 0, 1]))
    assert accuracy_interval(few) is None
    assert compare_accuracy(few, few) is None
    assert macro_f1_interval(np.array([[1, 0], [1, 1], [0, 0]])) is None


def test_the_interval_of_macro_f1_holds_the_figure() -> None:
    confusion_KL = np.array([[50, 5], [10, 20], [0, 0]])
    interval = macro_f1_interval(confusion_KL)
    macro_f1 = LabelScore(0.0, confusion_KL).macro_f1
    assert interval is not None
    assert macro_f1 is not None
    assert interval[0] < macro_f1 < interval[1]


def test_a_known_temperature_is_found_and_lowers_the_calibration_error() -> None:
    rng = np.random.default_rng(2)
    logits_NL = rng.normal(size=(4000, 5)) * 2
    p_NL = np.exp(logits_NL) / np.exp(logits_NL).sum(1, keepdims=True)
    targets_N = np.array([rng.choice(5, p=p) for p in p_NL])
    sharp_NL = 3 * logits_NL - np.log(
        np.exp(3 * logits_NL).sum(1, keepdims=True)
    )  # too sure of itself by a factor of 3
    fit = TemperatureFit()
    fit.add(sharp_NL[:2000], targets_N[:2000])
    fit.add(sharp_NL[2000:], targets_N[2000:])
    assert fit.temperature == pytest.approx(3, rel=0.1)
    chosen_N = sharp_NL.argmax(1)
    before, after = (
        expected_calibration_error(confidence_at(sharp_NL, chosen_N, temperature), chosen_N == targets_N)
        for temperature in (1.0, fit.temperature)
    )
    assert before is not None
    assert after is not None
    assert after < 0.04 < before


def test_unseen_labels_do_not_fit_the_temperature() -> None:
    fit = TemperatureFit()
    fit.add(np.log(np.full((3, 2), 0.5)), np.array([-1, -1, -1]))
    assert fit.temperature == 1.0
    assert expected_calibration_error(np.zeros(0), np.zeros(0, dtype=np.bool_)) is None
    assert expected_calibration_error(np.array([0.5, np.nan]), np.array([True, False])) is None, "numbers overflow"
