"""The confusion matrix: every prediction is counted once, the most frequent labels are first, and all is drawn."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from charlm.errors import UsageError
from charlm.report.confusion import UNSEEN, check_confusion_file, confusion_table, write_confusion

NAMES = ["rare", "frequent", "a, b"]
COUNTS = np.array([[1, 1, 0], [2, 7, 0], [0, 3, 1], [0, 0, 0]])


def test_labels_are_ordered_by_frequency() -> None:
    table = confusion_table(COUNTS, NAMES)
    assert table.columns == table.rows == ("frequent", "a, b", "rare")
    assert table.counts_RC.tolist() == [[7, 0, 2], [3, 1, 0], [1, 0, 1]]
    unseen = confusion_table(COUNTS + np.array([[0], [0], [0], [1]]), NAMES)
    assert unseen.rows == (*table.rows, UNSEEN)
    assert unseen.counts_RC[-1].tolist() == [1, 1, 1]


def test_the_counts_are_written(tmp_path: Path) -> None:
    write_confusion(tmp_path / "counts.csv", confusion_table(COUNTS, NAMES))
    with (tmp_path / "counts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["label", "frequent", "a, b", "rare"]
    assert rows[2] == ["a, b", "3", "1", "0"]


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("num_labels", [1, 2, 18, 40, 61, 150])
def test_any_number_of_labels_is_drawn(tmp_path: Path, num_labels: int) -> None:
    names = ["$x^{$", "東京 🙂", *(f"a label of a very long name {number}" for number in range(num_labels))]
    counts = np.random.default_rng(0).integers(0, 9, size=(num_labels + 1, num_labels))
    for table in (confusion_table(counts, names[:num_labels]), confusion_table(0 * counts, names[:num_labels])):
        write_confusion(tmp_path / "picture.png", table)
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_rest_of_many_labels_is_one_row_and_one_column() -> None:
    from charlm.report import confusion

    counts = np.random.default_rng(0).integers(0, 9, size=(101, 100))
    drawn = confusion._with_others(confusion_table(counts, [str(number) for number in range(100)]))  # pyright: ignore[reportPrivateUsage]
    assert drawn.rows[-2:] == ("41 others", UNSEEN)
    assert drawn.columns[-1] == "41 others"
    assert drawn.counts_RC.shape == (61, 60)
    assert drawn.counts_RC.sum() == counts.sum()


@pytest.mark.parametrize("name", ["counts", "counts.html", ".csv"])
def test_another_suffix_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match=r"is neither \.png nor \.csv; give a name that ends in"):
        check_confusion_file(Path(name))
