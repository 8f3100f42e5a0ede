"""The vocabularies that tags can have: those in which every character has ids of its own."""

from charlm.data.task_settings import TaskSettings
from charlm.errors import SettingsError
from charlm.vocab.build import build_learner
from charlm.vocab.settings import AnyVocabSettings, CopiedSettings

CHARACTER_KINDS = ("char", "byte")


def check_tag_vocab(task: TaskSettings, vocab: AnyVocabSettings) -> None:
    """Check that a corpus of this task can have this vocabulary.

    Raises:
        SettingsError: tags belong to characters, and the vocabulary joins characters.
    """
    if not task.needs_characters:
        return
    if isinstance(vocab, CopiedSettings):
        kind, is_fitting = "", build_learner(vocab).finish().spells_characters
    else:
        kind, is_fitting = f" {vocab.type}", vocab.type in CHARACTER_KINDS
    if not is_fitting:
        raise SettingsError(
            f"--task {task.type} needs ids for each character, and the vocabulary{kind} joins characters",
            "give --vocab char or --vocab byte, or copy such a vocabulary",
        )
