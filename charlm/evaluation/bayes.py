"""A conditional language model as a classifier: with which label is a text most likely?

    p(label | text) = p(text | label) p(label) / sum over labels       (Bayes' rule; p(label) as in the training text)

D documents, L labels, P predictions.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from charlm.data.conditions import DocumentLabels, LabelConditions
from charlm.data.store import TokenStream
from charlm.device import Precision
from charlm.evaluation.evaluate_labels import DocumentPrediction
from charlm.evaluation.score_documents import score_documents
from charlm.nn.model import LanguageModel

Floats = npt.NDArray[np.float64]


def label_log_probabilities(
    model: LanguageModel,
    stream: TokenStream,
    labels: LabelConditions,
    *,
    device: torch.device,
    precision: Precision = "fp32",
    on_progress: Callable[[int], None] = lambda tokens: None,
) -> Floats:
    """Return the log-probabilities of all labels for each document, (D, L). The documents are read once for each label.

    Args:
        stream: in the order in which the model reads it.
        on_progress: called with the number of tokens that each batch scored.
    """
    num_documents = len(stream.documents)
    document_P = np.repeat(np.arange(num_documents), stream.ends - stream.documents["start"])
    log_p_DL = np.empty((num_documents, labels.size))
    for label in range(labels.size):
        conditions = DocumentLabels(np.full(num_documents, label, dtype=np.int64))
        nats_P = score_documents(model, stream, conditions, device=device, precision=precision, on_progress=on_progress)
        log_p_DL[:, label] = -np.bincount(document_P, weights=nats_P, minlength=num_documents)
    log_p_DL += np.log(np.array(labels.counts) / sum(labels.counts))
    return log_p_DL - np.logaddexp.reduce(log_p_DL, axis=1, keepdims=True)


def as_predictions(log_p_DL: Floats, targets_D: npt.NDArray[np.int64]) -> Iterator[DocumentPrediction]:
    """Yield the predicted label of each document, beside the right one.

    Args:
        targets_D: the ids of the right labels; -1 for one that training has never seen.
    """
    for index, (log_p_L, target) in enumerate(zip(log_p_DL.astype(np.float32), targets_D, strict=True)):
        yield DocumentPrediction(index, np.array([target]), np.array([log_p_L.argmax()]), log_p_L[None])
