"""Staged shards are kept as long as the code that makes rows is unchanged."""

from pathlib import Path

import pytest

from charlm.data import staging
from charlm.data.row_builder import RowOptions, row_code_version
from charlm.data.staging import find_shard, make_shard
from tests.data.test_staging import NumberTask


def test_a_shard_of_other_code_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, options = NumberTask(0), RowOptions()
    made = make_shard(tmp_path, 0, task, options)
    assert find_shard(tmp_path, 0, task, options) == made
    assert find_shard(tmp_path, 0, task, RowOptions(min_characters=1)) is None
    monkeypatch.setattr(staging, "row_code_version", lambda: f"not {row_code_version()}")
    assert find_shard(tmp_path, 0, task, options) is None
