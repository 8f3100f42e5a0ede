"""Names of charlm 0.1.0 that are other ones today.

experiment.toml of an old run ──translate_layer──> today's names
an old name typed by hand (--set, a config, an option) ──> an error that names today's
"""

import tomllib
from collections.abc import Mapping
from typing import Any, cast

from charlm.settings.layers import Layer, Tree

SETTINGS = {
    "training.accumulation": "training.micro_batches",
    "training.segment_len": "training.recompute_len",
    "training.schedule.decay_share": "training.schedule.decay_fraction",
    "cache_share": "cache_weight",
}
"""Settings by their full keys; those without a dot are of `charlm tune`."""

OPTIONS = {"--recall": "--mix-online"}


def parse_experiment(text: str) -> Tree:
    """The settings in an experiment.toml, of whatever version, by today's names.

    Raises:
        ValueError, RecursionError: it is not TOML.
    """
    return _translate(tomllib.loads(text), "")


def translate_layer(layer: Layer) -> Layer:
    """The settings of an experiment.toml, and where each stands, by today's names."""
    return Layer(_translate(layer.tree, ""), {SETTINGS.get(key, key): at for key, at in layer.origins.items()})


def _translate(tree: Mapping[str, Any], prefix: str) -> Tree:
    translated: Tree = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        inner = _translate(cast("Tree", value), f"{key}.") if isinstance(value, dict) else value
        translated[SETTINGS.get(key, key).rpartition(".")[2]] = inner
    return translated
