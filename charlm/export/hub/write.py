"""The files of a model and its card, in a folder.

checkpoint ──copy──> the files of MODEL_FILES ──manifest──> manifest.json
           ──card──> README.md, which is not in the manifest: people edit it on the hub
"""

import shutil
from pathlib import Path

from charlm import storage
from charlm.export.exported_model import ExportedModel
from charlm.export.hub.card import write_card
from charlm.hub.model_files import MODEL_FILES
from charlm.nn.ngrams.files import NGRAMS_FILE


def write_hub(model: ExportedModel, folder: Path) -> list[str]:
    """Fill an empty folder; return what its user should know."""
    source = model.loaded.directory
    names = [name for name in MODEL_FILES if (source / name).is_file()]
    for name in names:
        _copy(source / name, folder / name)
    storage.write_manifest(folder, {"format": int(model.loaded.metadata["format"])})
    storage.write_text(folder / "README.md", write_card(model))
    notes: list[str] = []
    if NGRAMS_FILE in names:
        notes.append(f"{NGRAMS_FILE} holds n-grams of the training text: whoever downloads the model can read them")
    if model.options.licence is None:
        notes.append("the card names no licence, so nobody may use the model; give one with --licence")
    if model.text_origin is None:
        notes.append("the training corpus is not here, so the card does not say where the text comes from")
    return notes


def _copy(source: Path, target: Path) -> None:
    storage.make_directory(target.parent)
    with storage.storage_errors(source, "read"), open(source, "rb") as content, storage.atomic_file(target) as file:
        shutil.copyfileobj(content, file)
