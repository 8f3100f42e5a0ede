"""The versions of the formats that charlm writes. A file says its own as `format`, and a newer one is refused by name.

A version rises when a charlm of before could not read the file, or would take it for something else.
"""

CORPUS = 1
"""A prepared corpus: corpus.json and the arrays beside it."""
VOCABULARY = 1
"""vocab.json."""
CHECKPOINT = 1
"""manifest.json and model.json of a checkpoint, and what lies beside them."""
CONVERSATION = 1
"""What /save writes in `charlm sample --interactive`."""
