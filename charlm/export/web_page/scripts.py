"""The scripts of the page as one, since a browser loads no modules from a file.

page/*.js and charlm/model_page/*.js ──join_modules──> one script, each module in a function of its own
"""

import re
from functools import cache

from charlm.html_page import read_model_page, script_element

_FOLDER = "export/web_page/page"
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([\w-]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.MULTILINE)


def read_page_file(name: str) -> str:
    """Return a file of the page, its own or one that it shares with other pages.

    Raises:
        KeyError: there is none.
    """
    return _read_files()[name]


@cache
def _read_files() -> dict[str, str]:
    return read_model_page(_FOLDER)


def page_script() -> str:
    """Return the element with the script of the page."""
    return script_element(f'"use strict";\n(() => {{\n{join_modules("main")}}})();\n')


def join_modules(*names: str) -> str:
    """Return a script that runs modules, each after those that it imports, as `modules.NAME`."""
    texts: dict[str, str] = {}
    for name in names:
        _add_module(name, texts)
    return f"const modules = {{}};\n{''.join(texts.values())}"


def _add_module(name: str, texts: dict[str, str]) -> None:
    if name in texts:
        return
    text = read_page_file(f"{name}.js")
    for _, imported in _IMPORT.findall(text):
        _add_module(imported, texts)
    exported = ", ".join(exported for _, exported in _EXPORT.findall(text))
    body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(r"const \1 = modules.\2;\n", text))
    texts[name] = f"modules.{name} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"
