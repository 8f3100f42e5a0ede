"""The files of which a model consists, in a checkpoint and on the hub."""

MODEL_FILES = (
    "model.json",
    "model.safetensors",
    "ngrams.safetensors",
    "vocab.json",
    "vocab.model",
    "labels.json",
    "conditions.json",
    "source/vocab.json",
    "source/vocab.model",
)
"""Most models have a few of them. Data for resuming do not belong to a model."""
