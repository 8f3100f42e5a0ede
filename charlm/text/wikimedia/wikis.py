"""A language or wiki that does not exist -> suggestions of similar ones.

"russian", "русский", "rus", "Rusian" ──normalize──> equal to a name? its beginning? similar to it? ──> ru (Russian)

The list (wikis.toml) tells names from codes without the network. Whether a wiki with some code exists, only the server
knows: there are new ones every year.
"""

import difflib
import functools
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

_MAX_SUGGESTIONS = 3
_MAX_NAME_LENGTH = 200  # characters; the longest name of a wiki has fewer than 50
_MIN_SIMILARITY = 0.7
"""Names with at least this ratio (of difflib) are similar."""
_SIMILARITY_MARGIN = 0.15  # names that are nearly as similar as the best one are suggested too
_LIST = Path(__file__).with_name("wikis.toml")
_CODE = re.compile(r"[a-z]{2,3}|[a-z]+[-_][a-z_-]+")
"""The form of the codes of languages; all others, such as `simple`, are in the list."""
_OLD_DATABASE_CODES = {
    "be-tarask": "be_x_old", "bho": "bh", "cbk": "cbk_zam", "gsw": "als", "lzh": "zh_classical", "nan": "zh_min_nan",
    "nb": "no", "rup": "roa_rup", "sgs": "bat_smg", "vro": "fiu_vro", "yue": "zh_yue",
}  # fmt: skip
"""Language code -> the older code in the name of its database."""


def database_name(language: str, project: str = "wiki") -> str:
    """Return the database name of a project in a language: `zh-min-nan` gives `zh_min_nanwiki`."""
    language = language.lower()
    return _OLD_DATABASE_CODES.get(language, language).replace("-", "_") + project


def is_language_name(requested: str) -> bool:
    """Whether this is, or is similar to, the name of a language, and cannot be a code, known or new."""
    languages = _load_wikis()["languages"]
    if database_name(requested, "") in _known_databases():
        return False
    return bool(_equal_keys(requested, languages)) or bool(
        not _CODE.fullmatch(requested.lower()) and suggest_language(requested)
    )


def is_wiki_title(requested: str) -> bool:
    """Whether this names a wiki in words, such as `russianwikisource`, and cannot be the name of a database."""
    lists = _load_wikis()
    if requested in lists["shared"]:
        return False
    if _equal_keys(requested, lists["shared"]):
        return True
    language, _ = _split_language_and_project(_without_address(requested), lists["languages"], lists["projects"])
    return language not in _known_databases() and is_language_name(language)


def suggest_language(requested: str) -> str:
    """Return a question such as `did you mean ru (Russian)?`; empty if nothing is similar."""
    languages = _load_wikis()["languages"]
    name = re.sub(r"(\.?wik.*)?$", "", _without_address(requested)) or requested  # ru.wikipedia, ruwiki
    return _did_you_mean(
        f"{code} ({languages[code][0]})" for code in _nearest_keys(name, languages) if code != requested
    )


def suggest_wiki(requested: str) -> str:
    """Return a question such as `did you mean ruwikisource (Russian Wikisource)?`; empty if nothing is similar."""
    lists = _load_wikis()
    languages, projects, shared = lists["languages"], lists["projects"], lists["shared"]
    if found := [name for name in _equal_keys(requested, shared) if name != requested]:
        return _did_you_mean(f"{name} ({shared[name][0]})" for name in found)
    language, project = _split_language_and_project(_without_address(requested), languages, projects)
    known = {database_name(code, ""): code for code in languages}
    codes = [known[language]] if language in known else _nearest_keys(language, languages)
    candidates = {database_name(code, project): f"{languages[code][0]} {projects[project][0]}" for code in codes}
    return _did_you_mean(f"{name} ({title})" for name, title in candidates.items() if name != requested)


@functools.cache
def _load_wikis() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(_LIST.read_text(encoding="utf-8"))


def _known_databases() -> set[str]:
    """Return the beginnings of the names of databases, one for each language."""
    return {database_name(code, "") for code in _load_wikis()["languages"]}


def _without_address(name: str) -> str:
    """Strip the rest of an address: `https://ru.wikipedia.org/wiki/` -> `ru.wikipedia`."""
    return re.sub(r"\.org\b.*", "", re.sub(r"^https?://", "", name.strip().lower()))


def _split_language_and_project(
    name: str, languages: Mapping[str, list[str]], projects: Mapping[str, list[str]]
) -> tuple[str, str]:
    """Split `ruwikisorce` into the language (`ru`) and the project that is most similar to the rest."""
    spelled = {_normalize(word): project for project, words in projects.items() for word in (project, *words)}
    for word in sorted(spelled, key=len, reverse=True):
        if name.endswith(word) and name != word:
            return name.removesuffix(word).rstrip("._- "), spelled[word]
    folded = _normalize(name)
    found: list[tuple[float, int, str, str]] = []
    for language in {_normalize(spelling) for code in languages for spelling in _spellings(code, languages)}:
        if folded.startswith(language):
            similar = _Similarity(folded.removeprefix(language))
            found += [(similar(word), len(language), language, project) for word, project in spelled.items()]
    ratio, _, language, project = max(found, default=(0.0, 0, "", ""))
    return (language, project) if ratio >= _MIN_SIMILARITY else (name, "wiki")


def _nearest_keys(requested: str, names: Mapping[str, list[str]]) -> list[str]:
    """Return the keys whose names equal `requested`; otherwise begin with it; otherwise are most similar."""
    if equal := _equal_keys(requested, names):
        return equal[:_MAX_SUGGESTIONS]
    normalized = _normalize(requested)
    spelled = [(_normalize(name), key) for key in names for name in _spellings(key, names)]
    if len(normalized) >= 3 and (found := [key for name, key in spelled if name.startswith(normalized)]):
        return list(dict.fromkeys(found))[:_MAX_SUGGESTIONS]
    base = re.split(r"[-_]", requested.lower())[0]
    if base in names and base != requested:  # pt-br
        return [base]
    similar = _Similarity(normalized)
    ratios: dict[str, float] = {}
    for name, key in spelled:
        ratios[key] = max(ratios.get(key, 0.0), similar(name))
    threshold = max(_MIN_SIMILARITY, max(ratios.values()) - _SIMILARITY_MARGIN)
    return sorted((key for key in ratios if ratios[key] >= threshold), key=lambda key: -ratios[key])[:_MAX_SUGGESTIONS]


class _Similarity:
    """Similarity of words to one word, 0 to 1; 0 for all below _MIN_SIMILARITY, to save time."""

    def __init__(self, normalized: str) -> None:
        self._matcher = difflib.SequenceMatcher(b=normalized, autojunk=False)

    def __call__(self, word: str) -> float:
        self._matcher.set_seq1(word)
        possible = (
            self._matcher.real_quick_ratio() >= _MIN_SIMILARITY and self._matcher.quick_ratio() >= _MIN_SIMILARITY
        )
        return self._matcher.ratio() if possible else 0.0


def _equal_keys(requested: str, names: Mapping[str, list[str]]) -> list[str]:
    normalized = _normalize(requested)
    return [key for key in names if normalized in map(_normalize, _spellings(key, names))]


def _spellings(key: str, names: Mapping[str, list[str]]) -> list[str]:
    return [key, *(part for name in names[key] for part in (name, *name.split(" / ")))]


def _normalize(name: str) -> str:
    """Remove case, accents, spaces and dashes, so that `francais` and `zh_yue` are understood.

    Only the beginning of a longer name is read: the time to decompose it may grow with the square of its length.
    """
    decomposed = unicodedata.normalize("NFKD", name[:_MAX_NAME_LENGTH].casefold())
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn" and c not in " -_'ʻ’().")


def _did_you_mean(answers: Iterable[str]) -> str:
    *others, last = list(answers) or [""]
    if not last:
        return ""
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
