"""The comparison of settings."""

from pathlib import Path

from charlm.report.settings_comparison import Row, compare_settings
from tests.report.runs_on_disk import write_run

ONE = (
    '[model.body]\nhidden_size = 64\n[model.body.cell]\ntype = "gru"\nreset = "after"\n[training]\nseed = 0\nlr = 1.0\n'
)
TWO = (
    '[model.body]\nhidden_size = 64\n[model.body.cell]\ntype = "lstm"\nbias = true\n[training]\nseed = 0\nlr = 0.004\n'
)


def test_what_differs_and_what_is_equal(tmp_path: Path) -> None:
    comparison = compare_settings([write_run(tmp_path / "a", toml=ONE), write_run(tmp_path / "b", toml=TWO)])
    assert comparison.differing == (
        Row("model.body.cell.type", ("gru", "lstm")),
        Row("model.body.cell.reset", ("after", "–")),
        Row("model.body.cell.bias", ("–", "true")),
        Row("training.lr", ("1.0", "0.004")),
    )
    assert comparison.equal == (Row("model.body.hidden_size", ("64", "64")), Row("training.seed", ("0", "0")))


def test_a_single_run_has_all_its_settings(tmp_path: Path) -> None:
    comparison = compare_settings([write_run(tmp_path / "a", toml=ONE + 'a = []\nb = ["x", 1]\nc = "\\u001b\\n"\n')])
    assert comparison.differing == ()
    values = {row.key: row.values for row in comparison.equal}
    assert len(values) == 8
    assert (values["training.a"], values["training.b"], values["training.c"]) == (("none",), ("x, 1",), ("��",))


def test_a_run_whose_settings_cannot_be_read_makes_no_difference(tmp_path: Path) -> None:
    whole, damaged, bare = (write_run(tmp_path / name, toml=ONE) for name in "abc")
    (damaged / "experiment.toml").write_bytes(b"\xff = 3")
    (bare / "experiment.toml").unlink()
    comparison = compare_settings([damaged, whole, bare])
    assert comparison.differing == ()
    assert Row("training.seed", ("–", "0", "–")) in comparison.equal
    assert compare_settings([damaged]).equal == ()
