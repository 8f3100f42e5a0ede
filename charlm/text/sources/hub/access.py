"""Every call of `datasets` and `huggingface_hub`: the commit and config of a dataset, and its rows.

The libraries are imported inside functions, because that takes 2.5 s. No code of a dataset is ever run: `datasets` 5
cannot run it, and older versions only with `trust_remote_code`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import DataError, SettingsError
from charlm.suggestions.words import suggest
from charlm.text.settings import HubSettings
from charlm.text.sources.hub.errors import endpoint, is_network_error, list_similar, translate_errors
from charlm.text.sources.hub.json_rows import check_surrogates, read_json_rows

WIKIPEDIA = "wikimedia/wikipedia"
"""The dataset whose configs are named DATE.LANGUAGE."""
_TIMEOUT = 10  # seconds
_BATCH = 64
_FORMATS = {
    ".parquet": "parquet", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "csv",
    ".arrow": "arrow",
}  # fmt: skip

Row = Mapping[str, Any]


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


def open_rows(settings: HubSettings, dataset_version: DatasetVersion, inputs: Sequence[Path]) -> Iterator[Row]:
    """Yield the rows of the split, in order, each a mapping of all its columns.

    Raises:
        NetworkError, SettingsError: as `resolve_version`, or the split does not exist.
        DataError: a file is damaged, or does not have the format of its name.
    """
    if inputs and settings.errors == "replace" and _file_format(inputs) == "json":
        for path in inputs:
            yield from read_json_rows(path)
        return
    try:
        with translate_errors(settings, inputs):
            dataset = _load_dataset(settings, dataset_version, inputs)
            batches = iter(dataset.with_format("arrow").iter(batch_size=_BATCH))
        while True:
            with translate_errors(settings, inputs):
                batch = next(batches, None)
            if batch is None:
                return
            yield from batch.to_pylist()
    except DataError:
        if inputs and _file_format(inputs) == "json":
            check_surrogates(inputs)
        raise


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
    if not inputs[0].is_dir():
        options: dict[str, Any] = {"sep": "\t"} if inputs[0].suffix == ".tsv" else {}
        options["data_files"] = {split: [str(path) for path in inputs]}
        # streaming: otherwise a copy of all rows is written to the cache of the hub's client
        return datasets.load_dataset(_file_format(inputs), split=split, streaming=True, **options)
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


def _file_format(inputs: Sequence[Path]) -> str:
    """Return the format of files by their suffixes; empty for a folder."""
    if inputs[0].is_dir():
        return ""
    kinds = {_FORMATS.get(path.suffix.lower(), "") for path in inputs}
    if len(kinds) > 1 or "" in kinds:
        raise DataError(
            f"{', '.join(path.name for path in inputs)}: not dataset files of one format",
            f"give {', '.join(_FORMATS)} files, or read text with --source text",
        )
    return kinds.pop()
