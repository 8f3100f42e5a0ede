"""Settings -> a body."""

from typing import assert_never

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.pooling import PooledBody
from charlm.nn.bodies.recurrent import RecurrentNetwork
from charlm.nn.bodies.reversed import BackwardBody, BidirectionalBody
from charlm.nn.bodies.rglru import RGLRUNetwork
from charlm.nn.bodies.settings import BodySettings, RecurrentSettings, RGLRUSettings, TCNSettings, WindowSettings
from charlm.nn.bodies.tcn import TCN
from charlm.nn.bodies.window import WindowNetwork
from charlm.nn.dropout import LockedDropout, NoiseRNG
from charlm.nn.settings import ModelSettings


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
        case RGLRUSettings():
            return RGLRUNetwork(settings, input_size, rng)
        case _:
            assert_never(settings)


def build_row_body(settings: ModelSettings, input_size: int, rng: NoiseRNG, *, is_pooled: bool) -> Body:
    """Build a body that reads whole rows in the direction of the settings.

    Args:
        is_pooled: whether its features are those of the whole text, for one label for each text.

    Raises:
        SettingsError: the backend cannot run these layers.
    """
    match settings.direction:
        case "forward":
            body = build_body(settings.body, input_size, rng)
        case "backward":
            body = BackwardBody(build_body(settings.body, input_size, rng), rng)
        case "both":
            body = _build_bidirectional(settings, input_size, rng)
        case _:
            assert_never(settings.direction)
    return PooledBody(body, settings.pooling) if is_pooled else body


def _build_bidirectional(settings: ModelSettings, input_size: int, rng: NoiseRNG) -> BidirectionalBody:
    """Build a stack for each direction, or a stack of layers of two bodies each."""
    whole = settings.body
    if settings.bidirectional == "stacks" or not isinstance(whole, RecurrentSettings) or whole.num_layers == 1:
        pair = build_body(whole, input_size, rng), build_body(whole, input_size, rng)
        return BidirectionalBody([pair], rng)
    layers: list[tuple[Body, Body]] = []
    size = input_size
    for index in range(whole.num_layers):
        # model_copy does not validate: a layer alone may have a stride, since the skips go around it
        layer = whole.model_copy(
            update={
                "num_layers": 1,
                "skip": "none",
                "dilations": whole.dilations[index : index + 1],
                "strides": whole.strides[index : index + 1],
                "input_dropout": 0.0,
                "output_dropout": 0.0,
            }
        )
        layers.append((build_body(layer, size, rng), build_body(layer, size, rng)))
        size = 2 * whole.hidden_size + (size if whole.skip == "dense" else 0)
    probabilities = [whole.input_dropout, *[whole.dropout] * (whole.num_layers - 1), whole.output_dropout]
    dropouts = [LockedDropout(probability, rng) for probability in probabilities]
    return BidirectionalBody(layers, rng, dropouts, whole.skip)
