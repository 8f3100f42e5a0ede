"""What compresses a file: an integer predictor, and the vocabulary whose ids it predicts."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from charlm.archives.archive import DIGEST_BYTES
from charlm.archives.predictor import LanePredictor
from charlm.vocab.base import Vocab


@dataclass(frozen=True)
class CompressionModel:
    """A predictor with its vocabulary, by the name that an archive records."""

    predictor: LanePredictor
    vocab: Vocab
    name: str
    open_another: Callable[[], LanePredictor]
    """Return a second predictor of the same model, with its own state."""

    @cached_property
    def digest(self) -> bytes:
        """Hash of all that decides which bytes a code means: the integers of the predictor, and the vocabulary."""
        content = json.dumps({"type": self.vocab.type, **self.vocab.to_json()}, sort_keys=True)
        return hashlib.sha256(self.predictor.digest + content.encode("utf-8")).digest()[:DIGEST_BYTES]
