"""Settings and options that were renamed after charlm 0.1.0.

experiment.toml of an old run ──parse_experiment, translate_layer──> the new names
an old name typed by hand (--set, a config, an option) ──> an error that gives the new one
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
"""Old full key -> new one. A key without a dot is a setting of `charlm tune`."""

OPTIONS = {"--recall": "--mix-online"}


def parse_experiment(text: str) -> Tree:
    """Read the text of an experiment.toml of any version, under the new names.

    Raises:
        ValueError, RecursionError: it is not TOML.
    """
    return _translate(tomllib.loads(text), "")


def translate_layer(layer: Layer) -> Layer:
    """Return the settings of an experiment.toml of any version, and their origins, under the new names."""
    return Layer(_translate(layer.tree, ""), {SETTINGS.get(key, key): at for key, at in layer.origins.items()})


def _translate(tree: Mapping[str, Any], prefix: str) -> Tree:
    translated: Tree = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        inner = _translate(cast("Tree", value), f"{key}.") if isinstance(value, dict) else value
        translated[SETTINGS.get(key, key).rpartition(".")[2]] = inner
    return translated
