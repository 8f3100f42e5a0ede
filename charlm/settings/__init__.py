"""TOML files and `--set` options -> one frozen, typed settings object, or an error that names the line and the cure.

    file ──tomllib──> Layer <── merge ── options, --set key.path=value        layers
                        └── Settings.model_validate (strict) ──> object       base
                                  └── ValidationError ──> SettingsError: file:line, key, cure       validation
    experiment.toml of an older charlm ──> today's names                      renamed

Every package keeps its settings classes in its own torch-free `settings.py`. A kind of thing (cell, vocabulary,
source) is a union of classes told apart by `type`; where `type` is left out, the field's default decides.
"""

from charlm.settings.base import Settings, settings_classes, to_toml, type_names
from charlm.settings.layers import (
    Difference,
    Layer,
    differences,
    lists_to_tuples,
    merge_layers,
    parse_override,
    read_toml,
    single_value_layer,
)
from charlm.settings.validation import validate

__all__ = [
    "Difference",
    "Layer",
    "Settings",
    "differences",
    "lists_to_tuples",
    "merge_layers",
    "parse_override",
    "read_toml",
    "settings_classes",
    "single_value_layer",
    "to_toml",
    "type_names",
    "validate",
]
