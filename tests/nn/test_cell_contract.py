"""Properties of every cell, run over every member of the union: it is in every table of the tests, each norm changes
its parameters, and each noise changes training but not evaluation.

All other bodies are tested too, with the norms and noises that their settings have.

B batch, T time, D inputs, H hidden.
"""

from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from charlm.errors import SettingsError
from charlm.nn.bodies.base import Body
from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.settings import BodySettings
from charlm.nn.cells.base import DEFAULT_OPTIONS
from charlm.nn.cells.build import build_cell
from charlm.nn.cells.settings import CellSettings
from charlm.nn.dropout import NoiseRNG
from charlm.settings import Layer, Settings, settings_classes, validate
from tests.nn.cells import CELLS
from tests.nn.equations import EQUATIONS
from tests.nn.norm_equations import NORMALISED

B, T, D, H = 8, 6, 5, 16
SHARE = 0.5
MEANS = ("zoneout", "zoneout_hidden")
"""Noises that evaluation replaces by their mean over all masks, so they change evaluation too."""


def members(union: Any) -> dict[str, type[Settings]]:
    """Return the settings classes of a union by their type."""
    return {kind.model_fields["type"].default: kind for kind in settings_classes(union)}


CELL_TYPES = members(CellSettings)
BODY_TYPES = members(BodySettings)
BODIES: dict[str, dict[str, Any]] = {
    **{cell: {"type": "recurrent", "cell": {"type": cell}, "backend": "plain"} for cell in CELL_TYPES},
    **{body: {"type": body} for body in BODY_TYPES if body != "recurrent"},
}
DEPTH = {
    "recurrent": {"num_layers": 2},
    "window": {"num_layers": 2},
    "tcn": {"num_blocks": 2},
    "rglru": {"num_blocks": 2},
}


def settings_of(body: str, **changes: Any) -> Any:
    tree = BODIES[body]
    norm = {"norm": "none"} if "none" in kinds_of_norm(body) else {}
    chosen = {**tree, **DEPTH[tree["type"]], "hidden_size": H, **norm, **changes}
    return validate(BODY_TYPES[tree["type"]], Layer(chosen))


def build(body: str, **changes: Any) -> tuple[Body, NoiseRNG]:
    rng = NoiseRNG()
    torch.manual_seed(0)
    return build_body(settings_of(body, **changes), D, rng), rng


def fields_of(body: str) -> dict[str, Any]:
    return BODY_TYPES[BODIES[body]["type"]].model_fields


def kinds_of_norm(body: str) -> tuple[str, ...]:
    return get_args(fields_of(body)["norm"].annotation)


def norms_of(body: str) -> list[str]:
    """Return the norms of a body that can also do without one."""
    kinds = kinds_of_norm(body)
    return [norm for norm in kinds if norm != "none"] if "none" in kinds else []


def noises_of(body: str) -> list[str]:
    """Return the names of the body's probabilities, except those that this cell refuses."""
    found: list[str] = []
    for name, info in fields_of(body).items():
        if info.annotation is float and info.default == 0.0:
            try:
                settings_of(body, **{name: SHARE})
            except SettingsError:
                continue
            found.append(name)
    return found


def output(body: Body, rng: NoiseRNG, seed: int) -> Tensor:
    rng.seed(seed, 0)
    x_BTD = torch.randn(B, T, D, generator=torch.Generator().manual_seed(1))
    return body(x_BTD, body.initial_state(B))[0].detach()


TABLES: dict[str, dict[str, Any]] = {
    "CELLS in tests/nn/cells.py": CELLS,
    "EQUATIONS in tests/nn/equations.py": EQUATIONS,
    "NORMALISED in tests/nn/norm_equations.py": NORMALISED,
}


@pytest.mark.parametrize("table", TABLES)
def test_every_cell_stands_in_every_table_of_the_tests(table: str) -> None:
    """The names of a table begin with the cell's type; a variant's name follows a "-"."""
    found = {name.partition("-")[0] for name in TABLES[table]}
    assert found == set(CELL_TYPES), f"add {sorted(set(CELL_TYPES) - found)} to {table}"


@pytest.mark.parametrize("table", TABLES)
def test_every_variant_of_a_cell_has_its_equations(table: str) -> None:
    assert set(TABLES[table]) == set(CELLS), f"add {sorted(set(CELLS) - set(TABLES[table]))} to {table}"


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_of_the_tables_is_the_one_that_its_settings_build(cell: str) -> None:
    built = build_cell(settings_of(cell.partition("-")[0]).cell, D, H, DEFAULT_OPTIONS)
    assert type(CELLS[cell](D, H)) is type(built)


def test_the_shares_are_found() -> None:
    everywhere = {"input_dropout", "dropout", "output_dropout"}
    assert set(noises_of("window")) == set(noises_of("tcn")) == set(noises_of("rglru")) == everywhere
    assert set(noises_of("lstm")) == {*everywhere, "weight_drop", "recurrent_dropout", *MEANS}
    assert set(noises_of("gru")) == set(noises_of("lstm")) - {"zoneout_hidden"}
    assert set(noises_of("mingru")) == set(noises_of("gru")) - {"weight_drop"}


@pytest.mark.parametrize(("body", "norm"), [(body, norm) for body in BODIES for norm in norms_of(body)])
def test_a_norm_has_parameters_or_averages_of_its_own(body: str, norm: str) -> None:
    bare, normalised = (set(build(body, norm=kind)[0].state_dict()) for kind in ("none", norm))
    assert bare < normalised


@pytest.mark.parametrize(("body", "noise"), [(body, noise) for body in BODIES for noise in noises_of(body)])
def test_a_noise_is_of_training_alone(body: str, noise: str) -> None:
    (noisy, rng), (silent, own) = build(body, **{noise: SHARE}), build(body)
    noisy.load_state_dict(silent.state_dict())
    noisy.train()
    assert not torch.allclose(output(noisy, rng, 1), output(silent, own, 1))
    assert not torch.allclose(output(noisy, rng, 1), output(noisy, rng, 2)), "the seeds draw different masks"
    noisy.eval()
    assert torch.equal(output(noisy, rng, 1), output(noisy, rng, 2))
    same = torch.allclose(output(noisy, rng, 1), output(silent.eval(), own, 1), atol=1e-6)
    assert same == (noise not in MEANS)
