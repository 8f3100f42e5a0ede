"""Settings of baselines: from the command line, with errors that name the place, and without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from charlm.errors import SettingsError
from charlm.evaluation.baselines.settings import (
    ArchiveSettings,
    BaselineSettings,
    KneserNeySettings,
    XzSettings,
)
from charlm.settings import Layer, parse_override, read_toml, settings_classes, to_toml, validate


def test_a_list_on_the_command_line_chooses_the_baselines() -> None:
    layer = parse_override('baselines=[{type="kneser_ney", order=4}, {type="kneser_ney", order=8}, {type="xz"}]')
    chosen = validate(BaselineSettings, layer).baselines
    assert chosen == (KneserNeySettings(order=4), KneserNeySettings(order=8), XzSettings())


def test_without_a_list_every_kind_but_archives_is_run_once() -> None:
    kinds = list(settings_classes(BaselineSettings.model_fields["baselines"].annotation))
    kinds.remove(ArchiveSettings)
    assert [type(each) for each in validate(BaselineSettings, Layer()).baselines] == kinds


def test_settings_survive_toml(tmp_path: Path) -> None:
    path = tmp_path / "baselines.toml"
    path.write_text(to_toml(BaselineSettings()), encoding="utf-8")
    assert validate(BaselineSettings, read_toml(path)) == BaselineSettings()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('baselines=[{type="kneser_nay"}]', "kneser_ney"),
        ('baselines=[{type="kneser_ney", order=11}]', "less than or equal to 10"),
        ('baselines=[{type="kneser_ney", oder=4}]', "oder"),
        ("baselines=[]", "at least 1"),
        ("baseline=[]", "baselines"),
    ],
)
def test_what_does_not_fit_is_named(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        validate(BaselineSettings, parse_override(override))
    assert "--set" in str(caught.value)


def test_baselines_never_import_torch_and_their_settings_no_compressor() -> None:
    def imported_by(module: str) -> set[str]:
        report = "import sys; print(*(n for n in ('torch', 'datasets', 'pyppmd', 'numpy') if n in sys.modules))"
        code = f"import {module}; {report}"
        return set(
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        )

    assert not imported_by("charlm.evaluation.baselines.run") & {"torch", "datasets", "pyppmd"}
    assert not imported_by("charlm.evaluation.baselines.settings") & {"torch", "datasets", "pyppmd"}
