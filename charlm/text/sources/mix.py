"""Several sources -> one, whose document ids begin with the name of the source: `ruwiki/7`, `novels/karenina.txt`.

sources ── tasks of each, ids prefixed ──> one corpus;  weights ──> `mixture_weights`: prepare keeps so much of each
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from charlm.text.document import Document, DownloadPlan, InProcessTask, PageCounts, Source, SourceTask
from charlm.text.settings import MixSettings


@dataclass(frozen=True)
class _PrefixedTask:
    """The task of one of the sources."""

    name: str
    task: SourceTask

    @property
    def key(self) -> str:
        return f"{self.name}/ {self.task.key}"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        return _prefix_ids(self.name, self.task.documents(page_counts))


class _PrefixedSource(Source):
    """One of the sources that comes in one piece."""

    def __init__(self, name: str, source: Source) -> None:
        self._name, self._source = name, source
        self.page_counts = PageCounts()

    def documents(self) -> Iterator[Document]:
        yield from _prefix_ids(self._name, self._source.documents())
        self.page_counts = self._source.page_counts

    def origin(self) -> dict[str, Any]:
        return self._source.origin()


class MixSource(Source):
    """The documents of all `settings.sources`, one source after the other."""

    def __init__(self, settings: MixSettings) -> None:
        self._sources = dict(zip(settings.names, (each.build() for each in settings.sources), strict=True))
        self._weights = settings.weights
        self.page_counts = PageCounts()

    @property
    def mixture_weights(self) -> Mapping[str, float]:
        return dict(zip(self._sources, self._weights, strict=True)) if self._weights else {}

    def documents(self) -> Iterator[Document]:
        self.page_counts = PageCounts()
        for task in self.tasks():
            yield from task.documents(self.page_counts)

    def tasks(self) -> Iterator[SourceTask]:
        for name, source in self._sources.items():
            tasks = source.tasks()
            if tasks is None:
                yield InProcessTask(_PrefixedSource(name, source))
            else:
                yield from (_PrefixedTask(name, task) for task in tasks)

    def origin(self) -> dict[str, Any]:
        return {
            "source": "mix",
            "sources": {name: source.origin() for name, source in self._sources.items()},
            **({"weights": dict(self.mixture_weights)} if self._weights else {}),
        }

    def download_plan(self) -> DownloadPlan | None:
        plans = [plan for source in self._sources.values() if (plan := source.download_plan())]
        if not plans:
            return None
        return DownloadPlan(
            ", ".join(plan.description for plan in plans), sum(plan.num_bytes for plan in plans), plans[0].directory
        )

    def fetch(self, on_progress: Callable[[int], None] | None = None) -> None:
        before = 0
        for source in self._sources.values():
            done = 0

            def progress(num_bytes: int, before: int = before) -> None:
                nonlocal done
                done = num_bytes
                if on_progress:
                    on_progress(before + num_bytes)

            source.fetch(progress)
            before += done

    def resolved_settings(self) -> dict[str, Any]:
        found = {name: source.resolved_settings() for name, source in self._sources.items()}
        return {"sources": found} if any(found.values()) else {}

    def refresh(self) -> None:
        for source in self._sources.values():
            source.refresh()

    def discard(self) -> None:
        for source in self._sources.values():
            source.discard()

    def prepare_for_remote_workers(self) -> None:
        for source in self._sources.values():
            source.prepare_for_remote_workers()


def _prefix_ids(name: str, documents: Iterator[Document]) -> Iterator[Document]:
    return (replace(document, id=f"{name}/{document.id}") for document in documents)
