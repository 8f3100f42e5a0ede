"""Suggestions for languages and wikis that do not exist."""

import re
import tomllib
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import charlm.text.wikimedia.wikis
from charlm.text.wikimedia.wikis import database_name, is_language_name, is_wiki_title, suggest_language, suggest_wiki

LISTS = tomllib.loads(Path(charlm.text.wikimedia.wikis.__file__).with_suffix(".toml").read_text(encoding="utf-8"))
LANGUAGES: dict[str, list[str]] = LISTS["languages"]


@pytest.mark.parametrize(
    ("asked", "codes"),
    [
        *[("russian", "ru"), ("Russian", "ru"), ("русский", "ru"), ("rus", "ru"), ("Rusian", "ru")],
        *[("Ltgg", "ltg"), ("latgalian", "ltg"), ("latgaļu", "ltg"), ("latgalu", "ltg"), ("Latgola", "ltg")],
        *[("francais", "fr"), ("Español", "es"), ("deutsh", "de"), ("中文", "zh"), ("हिन्दी", "hi"), ("jp", "ja")],
        *[("pt-br", "pt"), ("en-US", "en"), ("zh-tw", "zh"), ("zh_yue", "zh-yue"), ("cantonese", "zh-yue")],
        *[("ruwiki", "ru"), ("ru.wikipedia.org", "ru"), ("https://ru.wikipedia.org/wiki/", "ru")],
        *[("norwegian", "nn no"), ("simple english", "simple"), ("татарча", "tt"), ("srpski", "sr")],
        *[("xx", ""), ("qq", ""), ("klingon", ""), ("", ""), ("../etc", ""), ("😀", ""), ("a" * 500, "")],
    ],
)
def test_languages(asked: str, codes: str) -> None:
    assert re.findall(r"\b([a-z-]+) \(", suggest_language(asked)) == codes.split()


def test_the_whole_sentence() -> None:
    assert suggest_language("russian") == "did you mean ru (Russian)?"
    assert suggest_language("norsk") == "did you mean nn (Norwegian Nynorsk) or no (Norwegian Bokmål)?"
    assert suggest_wiki("russianwikisource") == "did you mean ruwikisource (Russian Wikisource)?"


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        *[("russianwikisource", "ruwikisource"), ("ruwikisorce", "ruwikisource"), ("ru_wikisource", "ruwikisource")],
        *[("ruwikipedia", "ruwiki"), ("ru", "ruwiki"), ("русский", "ruwiki"), ("ru.wikinews.org", "ruwikinews")],
        *[("enwictionary", "enwiktionary"), ("frenchwiktionary", "frwiktionary"), ("Ltggwiki", "ltgwiki")],
        *[("wikidata", "wikidatawiki"), ("commons", "commonswiki"), ("zhyuewiki", "zh_yuewiki")],
        *[("be_taraskwiki", "be_x_oldwiki"), ("ltgwikisource", ""), ("xxwiki", ""), ("", ""), ("wiki", "")],
    ],
)
def test_wikis(asked: str, names: str) -> None:
    assert re.findall(r"\b([a-z_]+) \(", suggest_wiki(asked)) == names.split()


@given(st.text(max_size=20))
@settings(max_examples=25)
def test_anything_is_answered_with_codes_that_exist(asked: str) -> None:
    for suggestion in (suggest_language(asked), suggest_wiki(asked)):
        assert suggestion == "" or re.fullmatch(r"did you mean .+ \(.+\)\?", suggestion)


def test_every_language_is_found_by_each_of_its_names() -> None:
    for code, names in LANGUAGES.items():
        assert re.fullmatch(r"[a-z]{2,6}(-[a-z]{2,9}){0,2}", code)
        assert len(names) >= 2, code
        for name in names:
            assert name == name.strip() == unicodedata.normalize("NFC", name)
            assert code in re.findall(r"\b([a-z-]+) \(", suggest_language(name)), name


def test_the_list_is_whole() -> None:
    assert 335 <= len(LANGUAGES) <= 360
    largest = (
        "en ceb de fr sv nl ru es it pl arz zh ja uk vi war ar pt fa ca id ko sr no tr ce fi cs hu tt ro eu sh".split()
    )
    assert LANGUAGES.keys() >= set(largest)


def test_databases() -> None:
    assert database_name("RU") == "ruwiki"
    assert database_name("be-tarask") == "be_x_oldwiki"
    assert database_name("nb", "wiktionary") == "nowiktionary"


def test_codes_are_no_names_and_names_are_no_codes() -> None:
    databases = {database_name(code, "") for code in LANGUAGES}
    for code, names in LANGUAGES.items():
        assert not is_language_name(code)
        assert not is_wiki_title(database_name(code))
        assert not is_wiki_title(database_name(code, "wikisource"))
        for name in names:
            assert is_language_name(name) != (database_name(name, "") in databases), name


@pytest.mark.parametrize("code", ["yue", "nb", "xq", "zz", "pt-br", "en-US", "be_x_old", "klingon", ""])
def test_what_may_be_a_code_is_left_to_the_server(code: str) -> None:
    assert not is_language_name(code)


@pytest.mark.parametrize("wiki", ["xqwiki", "enwikitionary", "wikidatawiki", "be_x_oldwiki", "klingonwiki", ""])
def test_what_may_be_a_database_is_left_to_the_server(wiki: str) -> None:
    assert not is_wiki_title(wiki)
