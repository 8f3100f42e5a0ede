"""Every call of `datasets` and `huggingface_hub`: the commit and config of a dataset, and its rows.

Local files are read without these libraries (`local_files`).

The libraries are imported inside functions, because that takes 2.5 s. No code of a dataset is ever run: `datasets` 5
cannot run it, and older versions only with `trust_remote_code`.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import SettingsError
from charlm.suggestions.words import suggest
from charlm.text.settings import HubSettings
from charlm.text.sources.hub.errors import endpoint, is_network_error, list_similar, translate_errors
from charlm.text.sources.hub.local_files import Batch, read_batches

WIKIPEDIA = "wikimedia/wikipedia"
"""The dataset whose configs are named DATE.LANGUAGE."""
_TIMEOUT = 10  # seconds
_BATCH = 64


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """The commit and the config of a dataset."""

    revision: str
    """The commit; empty for local files."""
    config: str


def resolve_version(settings: HubSettings, inputs: Sequence[Path]) -> DatasetVersion:
    """Return the commit of `settings.revision`, and for Wikipedia the newest config of its language.

    Raises:
        NetworkError: the hub does not answer, or the dataset does not exist or is private.
        SettingsError: the revision or the language does not exist.
    """
    if inputs:
        return DatasetVersion("", settings.config)
    from datasets import get_dataset_config_names

    with translate_errors(settings):
        commit = _resolve_commit(settings)
        if settings.config or settings.dataset != WIKIPEDIA:
            return DatasetVersion(commit, settings.config)
        names = get_dataset_config_names(settings.dataset, revision=commit)
    dated = [(found[2], name) for name in names if (found := re.fullmatch(r"(\d{8})\.(.+)", name))]
    newest = max((name for language, name in dated if language == settings.language), default="")
    if not newest:
        raise SettingsError(
            f"{settings.dataset} has no language {settings.language!r}",
            list_similar(settings.language, sorted({language for language, _ in dated})),
        )
    return DatasetVersion(commit, newest)


def open_batches(
    settings: HubSettings, dataset_version: DatasetVersion, inputs: Sequence[Path], wanted: Collection[str]
) -> Iterator[Batch]:
    """Yield the rows of the split, in order; columns that are not wanted may be left out of the rows.

    Raises:
        NetworkError, SettingsError: as `resolve_version`, or the split does not exist.
        DataError: a file is damaged, or does not have the format of its name.
    """
    if are_files(inputs):
        yield from read_batches(inputs, wanted)
        return
    with translate_errors(settings, inputs):
        dataset = _load_dataset(settings, dataset_version, inputs)
        class_names = _find_class_names(dataset, settings.label_column)
        batches = iter(dataset.with_format("arrow").iter(batch_size=_BATCH))
    while True:
        with translate_errors(settings, inputs):
            batch = next(batches, None)
        if batch is None:
            return
        columns = [name for name in batch.column_names if name in wanted]
        rows = batch.select(columns).to_pylist()
        if class_names:
            rows = [row | {settings.label_column: _name_class(row, settings.label_column, class_names)} for row in rows]
        yield Batch(batch.column_names, rows)


def are_files(inputs: Sequence[Path]) -> bool:
    """Return whether the dataset is local files, each with columns of its own."""
    return bool(inputs) and not inputs[0].is_dir()


def licence(dataset: str, revision: str) -> str:
    """Return the licence on the card of a dataset; empty if there is none."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    try:  # `load_dataset` has put the card into the hub's cache
        path = huggingface_hub.hf_hub_download(
            dataset, "README.md", repo_type="dataset", revision=revision, local_files_only=True
        )
        stated: object = huggingface_hub.DatasetCard.load(path).data.to_dict().get("license", "")
    except (EntryNotFoundError, ValueError):  # no card, or an invalid one
        return ""
    return ", ".join(map(str, stated)) if isinstance(stated, list) else str(stated or "")


def _find_class_names(dataset: Any, column: str) -> Sequence[str]:
    """Return the names of the classes of a column; none if it is not a column of classes."""
    names: object = getattr((dataset.features or {}).get(column), "names", None) if column else None
    return [*map(str, names)] if isinstance(names, list) else []


def _name_class(row: dict[str, Any], column: str, names: Sequence[str]) -> str | None:
    """Return the name of a row's class; None for a missing one, for which datasets also have -1."""
    number = row.get(column)
    return names[number] if isinstance(number, int) and 0 <= number < len(names) else None


def _resolve_commit(settings: HubSettings) -> str:
    """Return the commit of `settings.revision`.

    It is one request, which fails at once without a network; `load_dataset` would try for half a minute. Without a
    network, a dataset that is not streamed is read from the cache of the hub's client.
    """
    import huggingface_hub
    from datasets import config

    revision = settings.revision or None
    try:
        api = huggingface_hub.HfApi(endpoint=endpoint())
        return api.dataset_info(settings.dataset, revision=revision, timeout=_TIMEOUT).sha or ""
    except Exception as error:
        if settings.streaming or not is_network_error(error):
            raise
        card = huggingface_hub.try_to_load_from_cache(
            settings.dataset, "README.md", revision=revision, repo_type="dataset"
        )
        if not isinstance(card, str):
            raise
        # offline from here on: the libraries read the environment variable only when they are imported
        huggingface_hub.constants.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE = True
        return Path(card).parent.name


def _load_dataset(settings: HubSettings, dataset_version: DatasetVersion, inputs: Sequence[Path]) -> Any:
    import datasets

    config, split = dataset_version.config or None, settings.split
    if not inputs:
        return datasets.load_dataset(
            settings.dataset, config, split=split, revision=dataset_version.revision, streaming=settings.streaming
        )
    if (inputs[0] / "state.json").is_file() or (inputs[0] / "dataset_dict.json").is_file():
        stored = datasets.load_from_disk(str(inputs[0]))
        if isinstance(stored, datasets.DatasetDict):
            if split not in stored:
                raise SettingsError(
                    f"{inputs[0]} has no split {split!r}", suggest(split, [*map(str, stored)], "there are")
                )
            return stored[split]
        return stored
    return datasets.load_dataset(str(inputs[0].absolute()), config, split=split, streaming=True)
