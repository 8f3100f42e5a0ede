"""The page for people at `/`, and the files that it loads: its scripts, styles and icon, and nothing from elsewhere.

    charlm/serving/page/*, charlm/model_page/*, the style of all pages, the colours ──Page──> responses with a policy

The files are read once, so that a name in a request never is a path.
"""

from importlib import resources
from pathlib import PurePosixPath

from starlette.datastructures import Headers
from starlette.responses import Response

from charlm.evaluation.explain.colour_style import scales_style
from charlm.evaluation.explain.colours import SURPRISAL
from charlm.html_page import read_model_page
from charlm.serving.api_error import ApiError

PAGE_FOLDER = "/page/"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing comes from elsewhere, and no script can turn text into markup."""
_FOLDER = "serving/page"
_INDEX, _BODY = "index.html", "body.html"
_BODY_MARK = "<!-- body.html -->"
_KEY_MARK = 'content="no key"'
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Page:
    """The files of the page, in memory."""

    def __init__(self, *, needs_key: bool) -> None:
        """
        Args:
            needs_key: whether the page must ask for the key of the server.
        """
        contents = _read_files()
        index = contents.pop(_INDEX)
        assert _KEY_MARK in index, "the page is told about the key here"
        assert _BODY_MARK in index, "the body that pages share stands here"
        index = index.replace(_BODY_MARK, contents.pop(_BODY))
        self._index = index.replace(_KEY_MARK, 'content="key"') if needs_key else index
        self._files = contents

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    def index(self) -> Response:
        headers = {"content-security-policy": PAGE_POLICY, "vary": "accept"}
        return Response(self._index, media_type="text/html", headers=headers)

    def file(self, name: str) -> Response:
        """
        Raises:
            ApiError: the page has no such file.
        """
        if name not in self._files:
            raise ApiError(404, "the page has no such file", "open / instead")
        return Response(self._files[name], media_type=_MEDIA_TYPES[PurePosixPath(name).suffix])


def wants_page(headers: Headers) -> bool:
    """Whether a request comes from a browser that shows pages, and not from a program."""
    return "text/html" in headers.get("accept", "").lower()


def _read_files() -> dict[str, str]:
    contents = read_model_page(_FOLDER)
    contents["base.css"] = (resources.files("charlm") / "html_page.css").read_text(encoding="utf-8")
    contents["colours.css"] = scales_style(SURPRISAL)
    return contents
