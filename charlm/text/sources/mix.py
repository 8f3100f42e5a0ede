"""Several sources -> one, whose document ids begin with the name of the source: `ruwiki/7`, `novels/karenina.txt`.

sources ── tasks of each, ids with a prefix ──> one corpus; `prepare` applies the weights
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from charlm.text.document import Document, DownloadPlan, PageCounts, Source, SourceTask
from charlm.text.settings import MixSettings


@dataclass(frozen=True)
class _PrefixedTask:
    """A task of one of the sources, with prefixed document ids."""

    name: str
    task: SourceTask

    @property
    def key(self) -> str | None:
        return None if self.task.key is None else f"{self.name}/ {self.task.key}"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        for document in self.task.documents(page_counts):
            yield replace(document, id=f"{self.name}/{document.id}")


class MixSource(Source):
    """The documents of all sources, one source after the other."""

    def __init__(self, settings: MixSettings, sources: Sequence[Source]) -> None:
        """
        Args:
            sources: one for each of `settings.sources`, in the same order.
        """
        self._sources = dict(zip(settings.names, sources, strict=True))
        self._weights = settings.mixture_weights

    def tasks(self) -> Iterator[SourceTask]:
        for name, source in self._sources.items():
            yield from (_PrefixedTask(name, task) for task in source.tasks())

    def local_files(self) -> list[dict[str, Any]]:
        """Return the files of all sources; their names begin with that of the source."""
        return [
            {**entry, "name": f"{name}/{entry['name']}"}
            for name, source in self._sources.items()
            for entry in source.local_files()
        ]

    def origin(self) -> dict[str, Any]:
        return {
            "source": "mix",
            "sources": {name: source.origin() for name, source in self._sources.items()},
            **({"weights": self._weights} if self._weights else {}),
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
