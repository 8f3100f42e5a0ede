"""Cleaning real articles leaves no markup, loses no article, and a second cleaning changes little."""

from pathlib import Path

import pytest

from tests.text.wikitext.measure_wikitext import DUMPS, RESIDUAL, Wiki, allowed, read_wiki, without_literals

pytestmark = pytest.mark.real_data

LOST = {
    "uk": {"Список професій"},
    "hy": {"Գլխավոր էջ"},
    "vi": {"Trang Chính"},
    "ltg": {
        "Suoku puslopa", "Igaunejis mīsti", "Latgolys mīsti", "Latvejis mīsti", "Lītovys mīsti",
        "Pasauļa golvysmīstu saroksts", "Geologiskuo laika skala", "Augustus",
    },
}  # fmt: skip
"""Pages without prose, checked by hand: main pages, and lists that consist of tables."""


@pytest.fixture(scope="module", params=DUMPS)
def wiki(request: pytest.FixtureRequest, shared_data: Path) -> Wiki:
    return read_wiki(shared_data / "mediawiki" / DUMPS[request.param])


def test_articles(wiki: Wiki) -> None:
    cleaner = wiki.cleaner()
    residual = size = changed = 0
    lost: set[str] = set()
    for title, wikitext in wiki.articles:
        cleaned = cleaner.clean(without_literals(wikitext), title)
        assert not cleaned.exceeded_limit
        residual += len(RESIDUAL.findall(cleaned.text))
        size += len(cleaned.text)
        changed += cleaner.clean(cleaned.text, title).text != cleaned.text
        if not cleaned.text:
            lost.add(title)
    assert residual <= allowed(size)
    assert changed <= 1 + len(wiki.articles) // 50  # a line of text may begin like an item: "#1 in the charts"
    assert lost <= LOST.get(wiki.language, set())
    assert size > 0.2 * sum(len(wikitext) for _, wikitext in wiki.articles)


def test_an_article_from_the_wikitext_to_the_words(shared_data: Path) -> None:
    wiki = read_wiki(shared_data / "mediawiki" / DUMPS["en"])
    text = wiki.cleaner().clean(dict(wiki.articles)["Albedo"]).text
    assert text.startswith(
        "Albedo (/ælˈbiːdoʊ/; from Latin albedo 'whiteness') is the measure of the diffuse reflection"
    )
    assert "\n\n== Terrestrial albedo ==\n\nAny albedo in visible light falls within a range" in text
    assert "Fresh asphalt" not in text  # a table
    assert "0.4–0.7 μm" in text  # &nbsp;
    assert "== References ==" not in text
    assert "== External links ==" not in text
