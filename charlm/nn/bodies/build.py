"""Settings -> a body."""

from typing import assert_never

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.recurrent import RecurrentNetwork
from charlm.nn.bodies.settings import BodySettings, RecurrentSettings, TCNSettings, WindowSettings
from charlm.nn.bodies.tcn import TCN
from charlm.nn.bodies.window import WindowNetwork
from charlm.nn.dropout import NoiseRNG


def build_body(settings: BodySettings, input_size: int, rng: NoiseRNG) -> Body:
    """Build a body.

    Raises:
        SettingsError: the backend cannot run these layers.
    """
    match settings:
        case RecurrentSettings():
            return RecurrentNetwork(settings, input_size, rng)
        case WindowSettings():
            return WindowNetwork(settings, input_size, rng)
        case TCNSettings():
            return TCN(settings, input_size, rng)
        case _:
            assert_never(settings)
