"""The versions of the file formats that charlm writes. Each file names its version as `format`; a newer one is refused.

A version increases when an earlier charlm could not read the file, or would misread it.
"""

CORPUS = 1
"""A prepared corpus: corpus.json and the arrays beside it."""
EXAMPLES = 2
"""A prepared corpus of examples, which charlm 0.1.0 would take for plain text."""
VOCABULARY = 1
"""vocab.json."""
CHECKPOINT = 1
"""manifest.json and model.json of a checkpoint, and the other files of its directory."""
CONVERSATION = 2
"""The file that /save writes in `charlm sample --interactive`."""
ARCHIVE = 1
"""The file that `charlm compress` writes."""
ONNX = 1
"""The JSON in the metadata of a model that `charlm export --format onnx` writes."""
LABELS = 1
"""labels.json."""
CONDITIONS = 1
"""conditions.json."""
TASK_CHECKPOINT = 2
"""manifest.json and model.json of a model of another task, which charlm 0.1.0 would take for a language model, or of
one with frozen language models or n-grams, which it cannot build."""
