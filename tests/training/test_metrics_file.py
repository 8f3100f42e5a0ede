"""metrics.jsonl is cut back when a run resumes. How it is read is tested with the report's curves."""

import json
from pathlib import Path

from charlm.training.logs import metrics_file


def test_the_log_is_cut_back_to_a_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in range(1, 6):
        metrics_file.append(path, {"kind": "train", "step": step, "note": "é\u2028"})
    with open(path, "ab") as file:
        file.write(b'not json\n{"step": null}\n{"step": 1e999}\n{"kind": "train", "step": 2, "torn')
    metrics_file.truncate(path, 3)
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [json.loads(line) for line in path.read_bytes().decode().split("\n")[:-1]]
    assert [entry["step"] for entry in kept] == [1, 2, 3], lines
    before = path.stat().st_ino
    metrics_file.truncate(path, 3)
    assert path.stat().st_ino == before, "a log that needs no cut is not rewritten"


def test_truncating_a_missing_log_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics_file.truncate(path, 3)
    assert not path.exists()
