"""Options of `charlm predict` that do not fit a model are refused when they are given, even with their defaults."""

from collections.abc import Callable
from typing import Any

import pytest

from charlm.errors import OptionError
from charlm.workflows.predict_options import PredictOptions

Check = Callable[[PredictOptions], None]


def of_texts(options: PredictOptions) -> None:
    options.check_targets()


def of_labels(options: PredictOptions) -> None:
    options.check_no_search()
    options.check_model(["odd"], per_document=True)


def of_tags(options: PredictOptions) -> None:
    options.check_no_search()
    options.check_model(["odd"], per_document=False)


UNFIT: dict[Check, set[str]] = {
    of_texts: {"threshold", "labels", "temperature"},
    of_labels: {"beams", "length_penalty"},
    of_tags: {"beams", "length_penalty", "threshold", "labels", "temperature", "top"},
}
KEYWORDS = ["top", "threshold", "labels", "temperature", "precision", "beams", "length_penalty"]


@pytest.mark.parametrize("keyword", KEYWORDS)
@pytest.mark.parametrize("check", UNFIT)
def test_an_option_without_effect_is_refused_when_it_is_given(check: Check, keyword: str) -> None:
    default: dict[str, Any] = {keyword: getattr(PredictOptions(), keyword)}
    check(PredictOptions(**default))
    if keyword not in UNFIT[check]:
        check(PredictOptions.from_keywords(**default))
        return
    with pytest.raises(OptionError, match=f"leave {keyword} out"):
        check(PredictOptions.from_keywords(**default))


def test_what_is_not_given_is_not_refused() -> None:
    for check in UNFIT:
        check(PredictOptions.from_keywords())
        check(PredictOptions(given={"run", "texts", "device"}))


def test_options_that_do_not_exist_are_no_options() -> None:
    wrong: dict[str, Any]
    for wrong in ({"beam": 3}, {"given": ("beams",)}):
        with pytest.raises(TypeError):
            PredictOptions.from_keywords(**wrong)
