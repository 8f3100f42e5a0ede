"""The ceiling that ambiguous texts set, against every function of the text."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.data.ambiguity import AmbiguityCounter

Examples = list[tuple[str, tuple[str | None, ...]]]


def count(examples: Examples) -> AmbiguityCounter:
    copies = Counter(text for text, _ in examples)
    counter = AmbiguityCounter()
    for text, targets in examples:
        counter.add(hash(text), text, targets, is_repeated=copies[text] > 1)
    return counter


def best_accuracy(examples: Examples) -> float | None:
    """The best accuracy over all functions of the text, found by trying all of them."""
    questions = sorted({(text, place) for text, targets in examples for place in range(len(targets))})
    total = sum(target is not None for _, targets in examples for target in targets)
    if not total:
        return None
    best = 0
    for answers in itertools.product("XYZ", repeat=len(questions)):
        function = dict(zip(questions, answers, strict=True))
        best = max(best, sum(function[text, place] == tag for text, tags in examples for place, tag in enumerate(tags)))
    return best / total


TARGET = st.sampled_from(["X", "Y", "Z", None])
EXAMPLES = st.lists(
    st.sampled_from(["a", "b", "cd"]).flatmap(lambda text: st.tuples(st.just(text), st.tuples(*[TARGET] * len(text)))),
    max_size=6,
)


@given(examples=EXAMPLES)
def test_no_function_of_the_text_is_better_than_the_ceiling(examples: Examples) -> None:
    described = count(examples).describe()
    assert described["ceiling"] == pytest.approx(best_accuracy(examples))


@given(examples=EXAMPLES)
def test_ceilings_of_labels_make_up_the_ceiling(examples: Examples) -> None:
    counter = count(examples)
    described = counter.describe()
    right = sum(described["ceilings"][name] * number for name, number in counter.names.items())
    assert right == pytest.approx(described["right"])
    assert all(0 <= ceiling <= 1 for ceiling in described["ceilings"].values())


def test_equally_frequent_labels_share_a_text() -> None:
    described = count([("Lee", ("Chinese",)), ("Lee", ("English",)), ("Kim", ("Korean",))]).describe()
    assert described["ceilings"] == {"Chinese": 0.5, "English": 0.5, "Korean": 1.0}
    assert described["ceiling"] == 2 / 3
    assert (described["ambiguous_texts"], described["ambiguous_examples"]) == (1, 2)
    assert described["shown"] == [{"text": "Lee", "names": ["Chinese", "English"]}]


def test_equal_examples_are_not_ambiguous() -> None:
    described = count([("a", ("X",)), ("a", ("X",))]).describe()
    assert (described["ceiling"], described["ambiguous_texts"]) == (1.0, 0)
