"""What the tasks that read whole documents, and not one stream, have in common."""

from charlm.errors import SettingsError
from charlm.nn.ngrams.build import check_ngram
from charlm.nn.norm import MIN_ROWS
from charlm.nn.settings import ModelSettings
from charlm.training.settings import TrainingSettings


def check_document_settings(model_settings: ModelSettings, settings: TrainingSettings) -> None:
    """
    Raises:
        SettingsError: a setting is for texts in one stream or for language models, or batch normalisation has too few
            rows.
    """
    check_ngram(model_settings, is_language_model=False)
    for name, why in (
        ("seq_len_varies", "each document is read as a whole"),
        ("reset_tokens", "each document begins with the initial state"),
    ):
        if getattr(settings, name):
            raise SettingsError(f"training.{name} is for texts in one stream: {why}", "leave it out")
    if model_settings.depends_on_step_count and settings.batch_size < MIN_ROWS * settings.micro_batches:
        raise SettingsError(
            f"batch normalisation needs at least {MIN_ROWS} documents in each micro-batch, and"
            f" training.batch_size = {settings.batch_size} has fewer",
            "raise it, or set model.body.norm to layer, weight or none",
        )
