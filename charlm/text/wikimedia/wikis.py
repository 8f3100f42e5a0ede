"""A language or wiki that does not exist -> the ones that were probably meant.

"russian", "русский", "rus", "Rusian" ──fold──> equal to a name? begins with it? looks like it? ──> ru (Russian)

The list (wikis.toml) only suggests: whether a wiki exists is for the server to say.
"""

import difflib
import functools
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

_MOST = 3
_ALIKE = 0.7
"""difflib's ratio from which on two names are called similar."""
_AS_GOOD = 0.15  # others are named too where they are nearly as similar as the best
_LIST = Path(__file__).with_name("wikis.toml")
_RENAMED = {
    "be-tarask": "be_x_old", "bho": "bh", "cbk": "cbk_zam", "gsw": "als", "lzh": "zh_classical", "nan": "zh_min_nan",
    "nb": "no", "rup": "roa_rup", "sgs": "bat_smg", "vro": "fiu_vro", "yue": "zh_yue",
}  # fmt: skip
"""Language codes whose database keeps an older name."""


def database(language: str, project: str = "wiki") -> str:
    """The database of a language's Wikipedia (or another project): `zh-min-nan` has `zh_min_nanwiki`."""
    language = language.lower()
    return _RENAMED.get(language, language).replace("-", "_") + project


def suggest_language(asked: str) -> str:
    """`did you mean ru (Russian)?`; empty where nothing is similar."""
    languages = _read()["languages"]
    name = re.sub(r"(\.?wik.*)?$", "", _without_address(asked)) or asked  # ru.wikipedia, ruwiki
    return _question(f"{code} ({languages[code][0]})" for code in _nearest(name, languages) if code != asked)


def suggest_wiki(asked: str) -> str:
    """The same for database names: `did you mean ruwikisource (Russian Wikisource)?`."""
    lists = _read()
    languages, projects, shared = lists["languages"], lists["projects"], lists["shared"]
    if found := [name for name in _equal(asked, shared) if name != asked]:
        return _question(f"{name} ({shared[name][0]})" for name in found)
    language, project = _divide(_without_address(asked), languages, projects)
    known = {database(code, ""): code for code in languages}
    codes = [known[language]] if language in known else _nearest(language, languages)
    candidates = {database(code, project): f"{languages[code][0]} {projects[project][0]}" for code in codes}
    return _question(f"{name} ({title})" for name, title in candidates.items() if name != asked)


@functools.cache
def _read() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(_LIST.read_text(encoding="utf-8"))


def _without_address(name: str) -> str:
    """`https://ru.wikipedia.org/wiki/` -> `ru.wikipedia`."""
    return re.sub(r"\.org\b.*", "", re.sub(r"^https?://", "", name.strip().lower()))


def _divide(name: str, languages: Mapping[str, list[str]], projects: Mapping[str, list[str]]) -> tuple[str, str]:
    """`ruwikisorce` -> what names the language (`ru`), and the project that the rest is most similar to."""
    spelled = {_fold(word): project for project, words in projects.items() for word in (project, *words)}
    for word in sorted(spelled, key=len, reverse=True):
        if name.endswith(word) and name != word:
            return name.removesuffix(word).rstrip("._- "), spelled[word]
    folded = _fold(name)
    found: list[tuple[float, int, str, str]] = []
    for language in {_fold(spelling) for code in languages for spelling in _spellings(code, languages)}:
        if folded.startswith(language):
            similar = _Similarity(folded.removeprefix(language))
            found += [(similar(word), len(language), language, project) for word, project in spelled.items()]
    ratio, _, language, project = max(found, default=(0.0, 0, "", ""))
    return (language, project) if ratio >= _ALIKE else (name, "wiki")


def _nearest(asked: str, names: Mapping[str, list[str]]) -> list[str]:
    """The keys whose names are equal to `asked`, or else begin with it, or else are most similar."""
    if equal := _equal(asked, names):
        return equal[:_MOST]
    wanted = _fold(asked)
    spelled = [(_fold(name), key) for key in names for name in _spellings(key, names)]
    if len(wanted) >= 3 and (found := [key for name, key in spelled if name.startswith(wanted)]):
        return list(dict.fromkeys(found))[:_MOST]
    base = re.split(r"[-_]", asked.lower())[0]
    if base in names and base != asked:  # pt-br
        return [base]
    similar = _Similarity(wanted)
    ratios: dict[str, float] = {}
    for name, key in spelled:
        ratios[key] = max(ratios.get(key, 0.0), similar(name))
    least = max(_ALIKE, max(ratios.values()) - _AS_GOOD)
    return sorted((key for key in ratios if ratios[key] >= least), key=lambda key: -ratios[key])[:_MOST]


class _Similarity:
    """How similar other words are to one, 0 to 1; 0 for all that is not similar enough to be worth the time."""

    def __init__(self, wanted: str) -> None:
        self._matcher = difflib.SequenceMatcher(b=wanted, autojunk=False)

    def __call__(self, word: str) -> float:
        self._matcher.set_seq1(word)
        possible = self._matcher.real_quick_ratio() >= _ALIKE and self._matcher.quick_ratio() >= _ALIKE
        return self._matcher.ratio() if possible else 0.0


def _equal(asked: str, names: Mapping[str, list[str]]) -> list[str]:
    wanted = _fold(asked)
    return [key for key in names if wanted in map(_fold, _spellings(key, names))]


def _spellings(key: str, names: Mapping[str, list[str]]) -> list[str]:
    return [key, *(part for name in names[key] for part in (name, *name.split(" / ")))]


def _fold(name: str) -> str:
    """Without case, accents, blanks and dashes: who types `francais` or `zh_yue` is understood."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn" and c not in " -_'ʻ’().")


def _question(answers: Iterable[str]) -> str:
    *others, last = list(answers) or [""]
    if not last:
        return ""
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
