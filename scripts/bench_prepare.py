"""Measure the cleaning of dumps: on one core, and from a multistream dump to parquet on all cores.

Reads the English and Ukrainian dumps of CHARLM_SHARED (or ../shared/data), repeated up to the given size. If
mwparserfromhell is installed, its strip_code runs on every tenth page in between.
"""

import argparse
import bz2
import contextlib
import importlib.util
import json
import os
import re
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charlm.cores import count_cores
from charlm.data.settings import CorpusSettings
from charlm.text.build import build_source
from charlm.text.dump.plan import plan_dump, read_range
from charlm.text.settings import WikipediaSettings
from charlm.text.wikitext import Cleaner
from charlm.workflows.prepare import prepare

DUMPS = ("mediawiki/enwiki-2022-fragment.xml.bz2", "mediawiki/ukwiki-truncated-100k.xml.xz")
REPETITIONS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200, help="size of the repeated dump")
    parser.add_argument("--workers", type=int, default=count_cores())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    shared = Path(os.environ.get("CHARLM_SHARED", Path(__file__).parents[2] / "shared" / "data"))
    if not shared.is_dir():
        raise SystemExit("scripts/bench: no real data: set CHARLM_SHARED")
    result: dict[str, Any] = {"cleaning": {name: measure_cleaning(shared / name) for name in DUMPS}}
    with tempfile.TemporaryDirectory() as folder:
        result["prepare"] = measure_prepare(shared, Path(folder), options.megabytes, options.workers)
    print(json.dumps(result) if options.json else table(result))


def measure_cleaning(path: Path) -> dict[str, float | None]:
    """Return MB of wikitext (UTF-8) per second on one core: the median of several passes, and the peer's."""
    dump = plan_dump(path)
    pages = [page for page in read_range(dump, dump.ranges[0]) if page.namespace == 0 and not page.redirect]
    cleaner = Cleaner(dump.siteinfo.language, dump.siteinfo.namespaces)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        for page in pages:
            cleaner.clean(page.text, page.title)
        ours.append(megabytes(page.text for page in pages) / (time.perf_counter() - start))
        if importlib.util.find_spec("mwparserfromhell") is not None:
            import mwparserfromhell  # pyright: ignore[reportMissingImports]

            start = time.perf_counter()
            for page in pages[::10]:
                mwparserfromhell.parse(page.text).strip_code()
            theirs.append(megabytes(page.text for page in pages[::10]) / (time.perf_counter() - start))
    return {"charlm": statistics.median(ours), "mwparserfromhell": statistics.median(theirs) if theirs else None}


def measure_prepare(shared: Path, folder: Path, size: int, workers: int) -> dict[str, float]:
    """Measure `prepare` on a multistream dump: MB of XML per second to parquet and in all, and its memory."""
    path = folder / "xxwiki-20260101-pages-articles-multistream.xml.bz2"
    num_bytes = write_repeated(shared, path, size * 1_000_000)
    settings = CorpusSettings(source=WikipediaSettings(input=(str(path),)))
    stages: dict[str, float] = {}

    def on_progress(stage: str, characters: int) -> None:
        stages[stage] = time.perf_counter()

    peaks = WorkerPeaks()
    peaks.start()
    start = time.perf_counter()
    corpus = prepare(
        settings, build_source(settings.source), folder / "corpus", workers=workers, on_progress=on_progress
    )
    end = time.perf_counter()
    return {
        "megabytes": num_bytes / 1e6,
        "megabytes_a_second": num_bytes / 1e6 / (stages["documents"] - start),
        "megabytes_a_second_whole": num_bytes / 1e6 / (end - start),
        "pages": corpus.metadata["documents"]["pages"],
        "documents": corpus.metadata["documents"]["kept"],
        "characters": sum(counts["characters"] for counts in corpus.metadata["splits"].values()),
        "workers": workers,
        "parent_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "worker_peak_mib": peaks.stop(),
        "cpu_of_decompressing": _measure_cpu(settings, path, folder / "again"),
    }


def _measure_cpu(settings: CorpusSettings, path: Path, corpus: Path) -> float:
    """Return the CPU time from the dump to parquet, in this process alone, over that of decompressing the dump."""
    compressed = path.read_bytes()
    start = time.process_time()
    bz2.decompress(compressed)
    decompressing = time.process_time() - start
    ends: dict[str, float] = {}

    def on_progress(stage: str, characters: int) -> None:
        ends[stage] = time.process_time()

    start = time.process_time()
    prepare(settings, build_source(settings.source), corpus, workers=1, on_progress=on_progress)
    return (ends["documents"] - start) / decompressing


class WorkerPeaks(threading.Thread):
    """Watch the memory of this process's children (the ru_maxrss of a child begins with that of its parent)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._done = threading.Event()
        self._peak = 0.0

    def run(self) -> None:
        while not self._done.wait(0.1):
            for status in Path("/proc").glob("[0-9]*/status"):
                with contextlib.suppress(OSError):
                    facts = dict(re.findall(r"^(PPid|VmHWM):\s+(\d+)", status.read_text(), re.MULTILINE))
                    if facts.get("PPid") == str(os.getpid()):
                        self._peak = max(self._peak, int(facts.get("VmHWM", 0)) / 1024)

    def stop(self) -> float:
        """Return the largest peak of a child in MiB."""
        self._done.set()
        self.join()
        return self._peak


def write_repeated(shared: Path, path: Path, size: int) -> int:
    """Write the pages of both dumps repeatedly, 100 in a bz2 stream, each with its own id, title and text."""
    import lzma

    english = bz2.decompress((shared / DUMPS[0]).read_bytes()).decode("utf-8")
    ukrainian = lzma.decompress((shared / DUMPS[1]).read_bytes()).decode("utf-8")
    pages = [page for xml in (english, ukrainian) for page in re.findall(r"<page>.*?</page>", xml, re.DOTALL)]
    written = 0
    with path.open("wb") as file:
        file.write(bz2.compress(english[: english.index("<page>")].encode()))
        for copy, group in repeat_pages(pages):
            body = "\n".join(rename_page(page, copy) for page in group).encode()
            file.write(bz2.compress(body))
            written += len(body)
            if written >= size:
                break
        file.write(bz2.compress(b"</mediawiki>\n"))
    return written


def repeat_pages(pages: list[str]) -> Iterator[tuple[int, list[str]]]:
    copy = 0
    while True:
        for first in range(0, len(pages), 100):
            yield copy, pages[first : first + 100]
        copy += 1


def rename_page(page: str, copy: int) -> str:
    page = re.sub(r"<title>(.*?)</title>", rf"<title>\1 {copy}</title>", page, count=1)
    page = re.sub(r"<id>(\d+)</id>", lambda found: f"<id>{int(found[1]) + copy * 10**8}</id>", page, count=1)
    return re.sub(r"(<text[^>]*>)(?!#)", rf"\1Copy {copy}.\n\n", page, count=1)


def megabytes(texts: Iterator[str]) -> float:
    return sum(len(text.encode("utf-8")) for text in texts) / 1e6


def table(result: dict[str, Any]) -> str:
    lines = ["cleaning, one core (MB of wikitext a second)"]
    for name, speeds in result["cleaning"].items():
        peer = speeds["mwparserfromhell"]
        beside = "not installed" if peer is None else f"{peer:.2f} ({speeds['charlm'] / peer:.0f} times)"
        lines.append(f"  {Path(name).name}: {speeds['charlm']:.1f}; mwparserfromhell {beside}")
    found = result["prepare"]
    lines.append(
        f"multistream dump to parquet: {found['megabytes_a_second']:.1f} MB of XML a second with {found['workers']}"
        f" workers ({found['megabytes']:.0f} MB, {found['pages']:,} pages, {found['documents']:,} documents of"
        f" {found['characters']:,} characters); all of prepare {found['megabytes_a_second_whole']:.1f}"
        f" MB a second; peak {found['parent_peak_mib']:.0f} MiB here, {found['worker_peak_mib']:.0f} MiB a worker;"
        f" {found['cpu_of_decompressing']:.2f} times the CPU time of decompressing"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
