"""Compare charlm's cleaner with MediaWiki's own parser. `scripts/oracle --help` lists the comparisons."""

import argparse
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oracle_blocks import Dump, Grammar, mutate, read_dump
from oracle_intended import INTENDED, Case
from oracle_mediawiki import Facts, Renderer, install
from oracle_templates import TEMPLATES, random_page
from oracle_text import shown_lines, tidy_lines

from charlm.text.wikitext import Cleaner
from charlm.text.wikitext.namespaces import INTERLANGUAGE_PREFIXES, category_prefixes, file_prefixes

TITLE = "Page"
_ALIASES = {"File": 6, "Image": 6, "Category": 14, "Template": 10, "Media": -2}
_HIDDEN_TAGS = (
    "math chem ce gallery timeline score graph mapframe maplink hiero templatedata templatestyles imagemap inputbox "
    "categorytree indicator section"
).split()
_MAX_PAGES_OF_TEMPLATES = 5_000
_LITERAL_TAGS = "syntaxhighlight source".split()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one comparison found."""

    name: str
    count: int
    different: int
    by_kind: Counter[str]
    unexplained: list[Case]

    def row(self) -> str:
        """Return a line of the table."""
        share = 100 / max(self.count, 1)
        return (
            f"{self.name:44} {self.count:8,} {self.different:6,} {share * self.different:6.2f} %"
            f" {len(self.unexplained):6,} {share * len(self.unexplained):7.3f} %"
        )


def facts_of(language: str, namespaces: dict[int, str]) -> Facts:
    """Return what MediaWiki must know of a wiki."""
    prefixes = sorted(INTERLANGUAGE_PREFIXES - {language})
    return Facts(
        language=language, namespaces=namespaces, aliases=_ALIASES,
        interwiki=[*prefixes, "w", "wikt", "s", "q", "b", "n", "v", "voy", "species", "commons", "m", "d"],
        interlanguage=prefixes, hidden_tags=_HIDDEN_TAGS, literal_tags=_LITERAL_TAGS, templates=TEMPLATES,
    )  # fmt: skip


def compare(name: str, blocks: Sequence[str], dump: Dump | None, home: Path) -> Outcome:
    """Compare the blocks; without a dump as pages of an English wiki."""
    language, namespaces = (dump.language, dump.namespaces) if dump else ("en", {6: "File", 14: "Category"})
    cleaner = Cleaner(language, namespaces)
    prefixes = file_prefixes(namespaces) | category_prefixes(namespaces)
    with Renderer(home, facts_of(language, namespaces)) as renderer:
        pages = renderer.render([(TITLE, block) for block in blocks])
    by_kind = Counter[str]()
    unexplained: list[Case] = []
    different = 0
    for block, page in zip(blocks, pages, strict=True):
        case = Case(block, shown_lines(page), tidy_lines(cleaner.clean(block, TITLE).text), prefixes)
        if case.agrees():
            continue
        different += 1
        kinds = explain(case)
        if kinds:
            by_kind.update(kinds)
        else:
            unexplained.append(case)
    return Outcome(name, len(blocks), different, by_kind, unexplained)


def explain(case: Case) -> list[str]:
    """Return the intended differences that turn MediaWiki's text into charlm's; [] if they do not."""
    used: list[str] = []
    rewritten = case
    for kind in INTENDED:
        changed = kind.rewrite(rewritten)
        if changed != rewritten:
            used.append(kind.name)
            rewritten = changed
            if rewritten.agrees():
                return used
    return []


def _comparisons(arguments: argparse.Namespace) -> Iterator[tuple[str, list[str], Dump | None]]:
    source = random.Random(arguments.seed)  # noqa: S311 - seeded, to compare the same blocks again
    if "examples" in arguments.what:
        yield "examples of intended differences", [kind.example for kind in INTENDED], None
    if "grammar" in arguments.what:
        grammar = Grammar(arguments.seed)
        yield "random snippets", [grammar.snippet() for _ in range(arguments.count)], None
    if "templates" in arguments.what:
        pages = [random_page(source) for _ in range(min(arguments.count, _MAX_PAGES_OF_TEMPLATES))]
        yield "pages of templates", pages, None
    if not {"blocks", "mutations"} & set(arguments.what):
        return
    found = [read_dump(path, language_from_name=arguments.language_from_name) for path in arguments.dumps]
    dumps = [dump for dump in found if dump.blocks]
    if arguments.language_from_name:
        dumps = [_with_own_namespaces(dump, arguments.home) for dump in dumps]
    for dump in dumps:
        if "blocks" in arguments.what:
            blocks = dump.blocks if len(dump.blocks) <= arguments.limit else source.sample(dump.blocks, arguments.limit)
            yield f"{dump.name} ({dump.language})", blocks, dump
        if "mutations" in arguments.what:
            each = -(-arguments.count // len(dumps))
            yield (
                f"{each:,} mutations of {dump.language}",
                [mutate(source.choice(dump.blocks), source) for _ in range(each)],
                dump,
            )


def _with_own_namespaces(dump: Dump, home: Path) -> Dump:
    """Return a dump with the namespaces of its language, instead of those of its header."""
    with Renderer(home, facts_of(dump.language, {})) as renderer:
        return replace(dump, namespaces=renderer.namespaces(dump.language))


def _default_dumps() -> list[Path]:
    shared = Path(os.environ.get("CHARLM_SHARED", Path(__file__).parents[2] / "shared" / "data"))
    return sorted(
        path for path in (shared / "mediawiki").glob("*") if path.suffix in (".bz2", ".xz") and "index" not in path.name
    )


def main() -> None:
    """Run the comparisons named on the command line."""
    parser = argparse.ArgumentParser(prog="scripts/oracle", description=__doc__)
    parser.add_argument(
        "what", nargs="+", choices=("setup", "examples", "blocks", "mutations", "grammar", "templates"),
        help="setup installs MediaWiki (as root); the others compare: the examples of intended differences, blocks of "
        "dumps, mutations of such blocks, random snippets of a grammar, pages of a small wiki of templates",
    )  # fmt: skip
    parser.add_argument("--home", type=Path, default=Path("/tmp/charlm-mediawiki"), help="folder of the wiki")  # noqa: S108
    parser.add_argument("--dumps", type=Path, nargs="+", default=_default_dumps(), help="dumps to take blocks from")
    parser.add_argument(
        "--language-from-name", action="store_true",
        help="the language of a dump is the beginning of its name, as of de.xml.bz2, and not that of its header",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=20_000, help="number of mutations and of random snippets")
    parser.add_argument("--limit", type=int, default=1_000_000, help="blocks of a dump at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--differences", type=Path, help="write the unexplained differences to this file")
    arguments = parser.parse_args()
    if "setup" in arguments.what:
        install(arguments.home)
    if arguments.differences:
        arguments.differences.write_text("", "utf-8")
    by_kind, by_real_kind, num_real = Counter[str](), Counter[str](), 0
    print(f"{'':44} {'compared':>8} {'differ':>6} {'':8} {'unexplained':>16}")
    for name, blocks, dump in _comparisons(arguments):
        outcome = compare(name, blocks, dump, arguments.home)
        print(outcome.row(), flush=True)
        by_kind += outcome.by_kind
        if dump and "mutations" not in name:
            by_real_kind += outcome.by_kind
            num_real += outcome.count
        if arguments.differences:
            with arguments.differences.open("a", encoding="utf-8") as file:
                file.writelines(f"##### {name}\n{case}\n" for case in outcome.unexplained)
    print("\nintended differences, several of them in some blocks:")
    for kind in INTENDED:
        print(f"{by_kind[kind.name]:8,}  {kind.name}: {kind.reason}; {kind.example!r}")
    over = [kind.name for kind in INTENDED if by_real_kind[kind.name] > kind.cap * max(num_real, 1)]
    if over:
        sys.exit(f"scripts/oracle: more of these than their caps allow: {', '.join(over)}")


if __name__ == "__main__":
    main()
