"""Several sources -> one, whose document ids begin with the name of the source: `ruwiki/7`, `novels/karenina.txt`.

sources ── tasks of each, ids prefixed ──> one corpus;  weights ──> `shares`: prepare keeps so much of each
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from charlm.text.document import Census, Document, DownloadPlan, Source, Task, WholeTask
from charlm.text.settings import MixSettings


@dataclass(frozen=True)
class _NamedTask:
    """The task of one of the sources."""

    name: str
    task: Task

    @property
    def key(self) -> str:
        return f"{self.name}/ {self.task.key}"

    def documents(self, census: Census) -> Iterator[Document]:
        return _named(self.name, self.task.documents(census))


class _NamedSource(Source):
    """One of the sources that comes in one piece."""

    def __init__(self, name: str, source: Source) -> None:
        self._name, self._source = name, source
        self.census = Census()

    def documents(self) -> Iterator[Document]:
        yield from _named(self._name, self._source.documents())
        self.census = self._source.census

    def origin(self) -> dict[str, Any]:
        return self._source.origin()


class MixSource(Source):
    """The documents of all `settings.sources`, one source after the other."""

    def __init__(self, settings: MixSettings) -> None:
        self._sources = dict(zip(settings.names, (each.build() for each in settings.sources), strict=True))
        self._weights = settings.weights
        self.census = Census()

    @property
    def shares(self) -> Mapping[str, float]:
        return dict(zip(self._sources, self._weights, strict=True)) if self._weights else {}

    def documents(self) -> Iterator[Document]:
        self.census = Census()
        for task in self.tasks():
            yield from task.documents(self.census)

    def tasks(self) -> Iterator[Task]:
        for name, source in self._sources.items():
            tasks = source.tasks()
            if tasks is None:
                yield WholeTask(_NamedSource(name, source))
            else:
                yield from (_NamedTask(name, task) for task in tasks)

    def origin(self) -> dict[str, Any]:
        return {
            "source": "mix",
            "sources": {name: source.origin() for name, source in self._sources.items()},
            **({"weights": dict(self.shares)} if self._weights else {}),
        }

    def download_plan(self) -> DownloadPlan | None:
        plans = [plan for source in self._sources.values() if (plan := source.download_plan())]
        if not plans:
            return None
        return DownloadPlan(
            ", ".join(plan.what for plan in plans), sum(plan.bytes for plan in plans), plans[0].directory
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

    def resolved(self) -> dict[str, Any]:
        found = {name: source.resolved() for name, source in self._sources.items()}
        return {"sources": found} if any(found.values()) else {}

    def refresh(self) -> None:
        for source in self._sources.values():
            source.refresh()

    def discard(self) -> None:
        for source in self._sources.values():
            source.discard()

    def distribute(self) -> None:
        for source in self._sources.values():
            source.distribute()


def _named(name: str, documents: Iterator[Document]) -> Iterator[Document]:
    return (replace(document, id=f"{name}/{document.id}") for document in documents)
