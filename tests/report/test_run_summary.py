"""The list of runs: every state is recognized, and a damaged run does not hide other runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charlm import storage
from charlm.report.listing import format_runs, runs_as_json
from charlm.report.run_summary import RunSummary, list_runs, summarize_run
from charlm.report.write_report import write_report
from tests.processes import Commands
from tests.report.runs_on_disk import add_checkpoint, falling, train_line, valid_line, write_run
from tests.workspaces import RUN


@pytest.fixture
def run(tmp_path: Path) -> Path:
    root = write_run(tmp_path / "runs" / "gru-wiki", falling(400))
    add_checkpoint(root, 200, bits=1.75)
    return root


def test_an_unfinished_run_and_all_that_is_known_of_it(run: Path) -> None:
    saved = (run / "checkpoints" / "step-000000200" / storage.MANIFEST).stat().st_mtime
    expected = RunSummary(
        "gru-wiki", run, "unfinished", "", 1.75, 200, 200, 18_000.0, saved, 1234, "wiki"
    )  # lines after step 200 belong to no checkpoint
    assert list_runs(run.parent) == [expected]


def test_the_trainer_says_when_a_run_is_finished(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run")
    add_checkpoint(root, 10, finished=True)
    assert summarize_run(root).state == "finished"
    add_checkpoint(root, 20)
    assert summarize_run(root).state == "unfinished"
    storage.write_json(root / "last.json", {"step": 10, "checkpoint": "step-000000010", "finished": True})
    assert summarize_run(root).state == "unfinished", "what last.json says is of another step"
    (root / "last.json").unlink()
    assert summarize_run(root).state == "unfinished"


def test_a_run_that_is_locked_is_training(run: Path) -> None:
    with storage.DirectoryLock(run):
        assert summarize_run(run).state == "training"
        (run / "best.json").write_text("{", encoding="utf-8")
        assert summarize_run(run).state == "training"
    assert summarize_run(run).state == "damaged"


def test_a_directory_without_a_checkpoint_is_empty(tmp_path: Path) -> None:
    write_run(tmp_path / "begun", falling(20))
    (tmp_path / "nothing").mkdir()
    (tmp_path / "current.json").write_text("{}", encoding="utf-8")
    torn = add_checkpoint(write_run(tmp_path / "torn"), 5)
    (torn / storage.MANIFEST).unlink()
    assert {run.name: run.state for run in list_runs(tmp_path)} == dict.fromkeys(("begun", "nothing", "torn"), "empty")
    assert list_runs(tmp_path / "not there") == []


DAMAGES = {
    "experiment.toml": b"a = [",
    "best.json": b'{"step": 3}',
    "checkpoints/step-000000200/manifest.json": b"[]",
    "checkpoints/step-000000200/model.json": b'{"trained_on": 3}',
    "checkpoints/step-000000200/model.safetensors": b"short",
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("kind", ["content", "garbage", "folder"])
def test_a_damaged_run_says_why_and_the_others_are_seen(run: Path, name: str, kind: str) -> None:
    add_checkpoint(write_run(run.parent / "whole"), 7)
    (run / name).unlink()
    if kind == "folder":
        (run / name).mkdir()
    else:
        (run / name).write_bytes(DAMAGES[name] if kind == "content" else b"\xff\x00" + b"[" * 100_000)
    damaged, whole = list_runs(run.parent)
    is_gone = kind == "folder" and name in ("best.json", "checkpoints/step-000000200/manifest.json")
    if not is_gone:  # a folder of that name is as good as no file
        assert damaged.state == "damaged"
        assert Path(name).name in damaged.why or "step-000000200" in damaged.why
        assert "\n" not in damaged.why
    assert (whole.state, whole.step) == ("unfinished", 7)


def test_names_from_the_disk_are_made_printable(tmp_path: Path) -> None:
    for name in ("a\x1b[31m\nb", os.fsdecode(b"half \xff")):
        add_checkpoint(write_run(tmp_path / name), 1)
    summaries = list_runs(tmp_path)
    assert [summary.name for summary in summaries] == ["a\ufffd[31m\ufffdb", "half \ufffd"]
    storage.to_json({"runs": runs_as_json(summaries, 0)}).encode("utf-8")
    assert len(format_runs(summaries, 0)) == 3


def test_the_list_needs_neither_torch_nor_numpy() -> None:
    heavy = "{'torch', 'numpy', 'matplotlib'}"
    code = f"import charlm.report.listing, charlm.report.write_report, sys; print({heavy} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_run_of_the_trainer(toured: Commands) -> None:
    (summary,) = list_runs(toured.folder / RUN.parent)
    log = (toured.folder / RUN / "metrics.jsonl").read_text(encoding="utf-8")
    assert (summary.name, summary.step, summary.corpus) == ("tiny-texts", 20, "texts")
    assert summary.state in ("finished", "unfinished")
    assert f'"bits_per_character": {summary.best_bits_per_character}' in log
    assert summary.characters
    assert f'"characters_seen": {summary.characters:.0f}' in log.splitlines()[-1]


def test_the_table_lines_up(run: Path) -> None:
    summaries = [*list_runs(run.parent), RunSummary("x", run, "damaged", "best.json is missing or damaged")]
    summaries[0] = summarize_run(run)
    saved = summaries[0].saved
    assert saved is not None
    heads, first, second, why = format_runs(summaries, saved + 7300)
    assert first.split() == "gru-wiki unfinished 1.7500 200 18k 1.23k wiki 2 h ago".split()
    assert why == "  best.json is missing or damaged"
    for head in ("state", "corpus", "saved"):
        start = heads.index(head)
        assert all(line[start - 1] == " " and line[start] != " " for line in (heads, first, second))
    assert heads.index("bits/char") + len("bits/char") == first.index("1.7500") + len("1.7500")


@pytest.mark.parametrize(
    ("bits", "vocab_size", "uniform"), [(49_835.0, 128, 7.0), (7.01, 128, 7.0), (6.9, 128, 7.0), (49_835.0, None, None)]
)
def test_a_best_score_worse_than_uniform_guessing_has_a_warning(
    tmp_path: Path, bits: float, vocab_size: int | None, uniform: float | None
) -> None:
    root = write_run(tmp_path / "run", [train_line(10, 5.0), valid_line(10, bits)])
    add_checkpoint(root, 10, bits=bits, vocab_size=vocab_size)
    summary = summarize_run(root)
    assert summary.uniform_bits_per_character == uniform
    lines = format_runs([summary], 0)
    page = write_report([root], tmp_path / "out", png=False).page.read_text(encoding="utf-8")
    if uniform is not None and bits > uniform:
        assert "worse than uniform guessing, 7.0000" in lines[-1]
        assert "lower training.optimizer.lr" in lines[-1]
        assert lines[-1].strip() in page
    else:
        assert len(lines) == 2
        assert "uniform" not in page.split("</style>")[1]


def test_the_bits_of_uniform_guessing_count_the_ends_of_documents(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", [valid_line(10, 3.0, tokens=110, characters=100)])
    add_checkpoint(root, 10, vocab_size=64)
    assert summarize_run(root).uniform_bits_per_character == pytest.approx(6 * 1.1)
