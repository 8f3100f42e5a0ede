"""The baselines without a model, and what every baseline must do."""

import pytest

from charlm.evaluation.transduction_baselines.base import Pair, TransductionBaseline
from charlm.evaluation.transduction_baselines.joint_ngram import JointNgram
from charlm.evaluation.transduction_baselines.simple import CopySource, MostFrequentTarget
from tests.evaluation.transduction_baselines.pairs import pair, random_pairs, spoken_pairs

BASELINES = [CopySource, MostFrequentTarget, JointNgram]


def test_copy_gives_the_source() -> None:
    baseline = CopySource()
    baseline.fit([pair("ab", "xy")])
    assert baseline.predict([("a", "b"), ()]) == [("a", "b"), ()]


def test_the_most_frequent_target_counts_weights() -> None:
    baseline = MostFrequentTarget()
    baseline.fit([pair("a", "x"), pair("a", "x"), pair("a", "y", 2.5), pair("b", "x"), pair("c", "z"), pair("c", "w")])
    assert baseline.predict([("a",), ("b",), ("c",), ("d",)]) == [("y",), ("x",), ("z",), ("x",)]


@pytest.mark.parametrize("kind", BASELINES)
@pytest.mark.parametrize("pairs", [[], [pair("", "")], [pair("", "x")], [pair("a", "")], random_pairs(0, 40)])
def test_every_source_gets_a_target(kind: type[TransductionBaseline], pairs: list[Pair]) -> None:
    baseline = kind()
    baseline.fit(pairs)
    assert len(baseline.predict([(), ("a",), ("?", "a", "?"), tuple("abcabcabc")])) == 4
    assert baseline.predict([]) == []


@pytest.mark.parametrize("kind", BASELINES)
def test_a_second_fit_forgets_the_first_one_and_the_batch_changes_nothing(kind: type[TransductionBaseline]) -> None:
    pairs = spoken_pairs(1, 80)
    sources = [source for source, _, _ in spoken_pairs(2, 20)]
    fresh, used = kind(), kind()
    fresh.fit(pairs)
    used.fit(random_pairs(3, 30))
    used.fit(pairs)
    expected = fresh.predict(sources)
    assert used.predict(sources) == expected
    assert [fresh.predict([source])[0] for source in sources] == expected


def test_names() -> None:
    assert [CopySource.name, MostFrequentTarget.name, JointNgram(4).name] == ["copy", "most frequent", "joint 4-gram"]
