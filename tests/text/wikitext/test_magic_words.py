"""Words such as __NOTOC__ vanish where the wiki knows them; other words between underscores stay."""

import re
import tomllib
from importlib.resources import files

import pytest

from charlm.text.wikitext import clean
from charlm.text.wikitext.magic_words import any_case_pattern, fold_case, load_magic_words

ENTRIES: dict[str, dict[str, str]] = tomllib.loads(
    files("charlm.text.wikitext").joinpath("magic_words.toml").read_text("utf-8")
)
LANGUAGES_WITH_WORD_LISTS = ("bn", "de", "es", "fr", "hy", "ja", "ru", "uk", "vi", "zh")

STAYS = {
    "en": "__init__ __FILE__ __FOO__ __LINE__ __hiddencat__ __T__ __KEIN_INDEX__ _NOTOC_",
    "de": "__init__ __DATA__ __STDC__ __inhalt__ __versteckte_kategorie__",
    "ru": "__main__ __COUNTER__ __ПРИВЕТ__ __индекс__",
    "ja": "__init__ __FILE__ __目__",
    "tr": "__name__ __i̇çi̇ndeki̇ler__",
}
VANISHES = {
    "en": "__NOTOC__ __notoc__ __NoToc__ __HIDDENCAT__ __NOTOC____NOEDITSECTION__",
    "de": "__KEIN_INHALTSVERZEICHNIS__ __kein_inhaltsverzeichnis__ __NICHT_INDEXIEREN__ __NOTOC__",
    "fr": "__AUCUNSOMMAIRE__ __AUCUNETDM__ __SOMMAIRE__",
    "es": "__SIN_TDC__ __NoTDC__",
    "ru": "__БЕЗ_ОГЛАВЛЕНИЯ__ __без_огл__ __СКРЫТАЯ_КАТЕГОРИЯ__",
    "uk": "__БЕЗ_ЗМІСТУ__ __БЕЗ_ОГЛ__ __ПРИХОВ_КАТ__",
    "ja": "__目次__ ＿＿目次非表示＿＿",
    "bn": "__বিষয়বস্তুর_ছক__",
    "he": "__ללא_תוכן__",
    "tr": "__İÇİNDEKİLER__ __İçİndekİler__",
    "no": "__INGENINNHOLDSFORTEGNELSE__",
    "simple": "__NOTOC__ __INDEX__",
    "xx": "__NOTOC__ __БЕЗ_ОГЛ__",
}
"""The last: words with letters outside ASCII vanish on all wikis."""


@pytest.mark.parametrize("code", STAYS)
def test_words_of_programs_stay(code: str) -> None:
    assert clean(f"a {STAYS[code]} b", code).text == f"a {STAYS[code]} b"


@pytest.mark.parametrize("code", VANISHES)
def test_magic_words_vanish(code: str) -> None:
    assert clean(f"a {VANISHES[code]} b", code).text == "a b"


def test_the_rest_of_a_word_stays() -> None:
    assert clean("___NOTOC___ x").text == "__ x"
    assert clean("* a\n__NOTOC__* b").text == "- a\n- b"  # what follows begins a line


def test_words_of_every_language_are_found_in_any_case_or_in_theirs() -> None:
    for code, entry in ENTRIES.items():
        for word in filter(None, entry.get("underscored", "").split("|")):
            for form in (word, "".join(c.upper() if fold_case(c.upper()) == fold_case(c) else c for c in word)):
                assert re.fullmatch(any_case_pattern(word), form), (code, form)
        foreign = [word for key in ("underscored", "underscored_exact") for word in entry.get(key, "").split("|")]
        left = load_magic_words("en").drop_switches("|".join(word for word in foreign if not word.isascii()))
        assert not left.strip("|"), (code, left)


@pytest.mark.parametrize("code", LANGUAGES_WITH_WORD_LISTS)
def test_languages_with_word_lists_have_magic_words(code: str) -> None:
    assert code in ENTRIES
    assert load_magic_words(code).function("PAGENAME") == "pagename"


def test_languages_lead_to_others_without_a_circle() -> None:
    for code in ENTRIES:
        chain = [code]
        while parent := ENTRIES[chain[-1]].get("like"):
            assert parent not in chain, chain
            chain.append(parent)


@pytest.mark.parametrize(
    ("text", "folded"), [("REDIRECT", "redirect"), ("ÅÉ", "åé"), ("İI", "İi"), ("Straße", "straße"), ("ΣΑΣ", "σασ")]
)
def test_case_is_folded_character_by_character(text: str, folded: str) -> None:
    assert fold_case(text) == folded
