"""Variables for names of pages: in "Talk:Ship/Archive", {{PAGENAME}} is "Ship/Archive" and {{NAMESPACE}} is "Talk"."""

from collections.abc import Callable, Mapping
from urllib.parse import quote

_TALK = 1
_NAMESPACES_WITH_SUBPAGES = frozenset((1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 15))
"""Those of MediaWiki's defaults; articles have none on Wikipedias."""


class PageNames:
    """The values of these variables on one wiki.

    Args:
        namespaces: namespace number -> name.
    """

    def __init__(self, namespaces: Mapping[int, str]) -> None:
        self._namespaces = namespaces
        self._numbers = {name.casefold(): number for number, name in namespaces.items() if name}
        self.variables: Mapping[str, Callable[[int, str], str]] = {
            "pagename": lambda number, name: name,
            "pagenamee": lambda number, name: quote(name.replace(" ", "_"), safe=";@$!*(),/~:"),
            "fullpagename": self._full,
            "basepagename": lambda number, name: _base(number, name, from_end=True),
            "rootpagename": lambda number, name: _base(number, name, from_end=False),
            "subpagename": lambda number, name: (
                name.rpartition("/")[2] if number in _NAMESPACES_WITH_SUBPAGES else name
            ),
            "namespace": lambda number, name: self._namespaces.get(number, ""),
            "namespacenumber": lambda number, name: str(number),
            "subjectspace": lambda number, name: self._namespaces.get(_subject(number), ""),
            "subjectpagename": lambda number, name: self._full(_subject(number), name),
            "talkspace": lambda number, name: self._talk(number),
            "talkpagename": lambda number, name: f"{self._talk(number)}:{name}",
        }
        """English name of a variable in lower case -> function of the namespace number and the name in it."""

    def value(self, variable: str, title: str) -> str:
        """Return the value of a variable for the page with this title."""
        return self.variables[variable](*self._parse(title))

    def value_for(self, variable: str, link: str) -> str:
        """Return the value for the page that a link in wikitext would go to: spaces are trimmed, `a_b` is "A b"."""
        number, name = self._parse(link.replace("_", " ").strip())
        return self.variables[variable](number, name[:1].upper() + name[1:])

    def _parse(self, title: str) -> tuple[int, str]:
        prefix, colon, name = title.partition(":")
        number = self._numbers.get(prefix.strip().casefold(), 0) if colon else 0
        return (number, name.lstrip()) if number else (0, title)

    def _full(self, number: int, name: str) -> str:
        namespace = self._namespaces.get(number, "")
        return f"{namespace}:{name}" if namespace else name

    def _talk(self, number: int) -> str:
        return self._namespaces.get(_subject(number) + _TALK, "")


def _subject(number: int) -> int:
    return number - 1 if number > 0 and number % 2 else number


def _base(number: int, name: str, *, from_end: bool) -> str:
    if number not in _NAMESPACES_WITH_SUBPAGES or "/" not in name:
        return name
    return name.rpartition("/")[0] if from_end else name.partition("/")[0]
