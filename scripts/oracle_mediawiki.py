"""MediaWiki's own parser as a subprocess: wikitext -> HTML.

install ──> LocalSettings.php;   Facts of a dump ── Renderer ── JSON lines ──> php oracle_render.php ──> HTML
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

_SCRIPTS = Path(__file__).parent
_MEDIAWIKI = Path("/usr/share/mediawiki")
_PACKAGES = "mediawiki php-cli php-sqlite3 php-xml php-mbstring php-intl".split()
_POLICY = Path("/usr/sbin/policy-rc.d")
_OWN_SETTINGS = "if ( getenv( 'ORACLE_SETTINGS' ) ) { require_once getenv( 'ORACLE_SETTINGS' ); }\n"
"""The wiki belongs to no checkout: the one that renders names its settings."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parser must know of a wiki, from the dump's siteinfo and from charlm's tables."""

    language: str
    namespaces: Mapping[int, str]
    aliases: Mapping[str, int]
    """Other names of namespaces, as pages of many wikis write them."""
    interwiki: list[str]
    interlanguage: list[str]
    hidden_tags: list[str]
    literal_tags: list[str]
    templates: Mapping[str, str]
    """Name of a template -> its wikitext."""

    def write(self, path: Path) -> None:
        """Write the facts as JSON for oracle_settings.php."""
        path.write_text(json.dumps({name: getattr(self, name) for name in self.__slots__}), "utf-8")


def install(home: Path) -> None:
    """Install Debian's MediaWiki if it is missing (as root), and make a wiki in SQLite below `home`."""
    if not _MEDIAWIKI.is_dir():
        made = not _POLICY.exists()
        if made:  # the package would start a web server
            _POLICY.write_text("#!/bin/sh\nexit 101\n")
            _POLICY.chmod(0o755)
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *_PACKAGES], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        if made:
            _POLICY.unlink()
    settings = home / "conf" / "LocalSettings.php"
    if not settings.exists():
        (home / "db").mkdir(parents=True, exist_ok=True)
        settings.parent.mkdir(exist_ok=True)
        arguments = {
            "dbtype": "sqlite", "dbname": "wiki", "dbpath": home / "db", "confpath": settings.parent,
            "server": "http://127.0.0.1", "scriptpath": "/mediawiki", "lang": "en", "pass": secrets.token_urlsafe(12),
        }  # fmt: skip
        options = [f"--{key}={value}" for key, value in arguments.items()]
        install = ["php", "maintenance/install.php", *options, "Wiki", "Admin"]
        subprocess.run(install, cwd=_MEDIAWIKI, check=True, stdout=subprocess.DEVNULL)
    if _OWN_SETTINGS not in (text := settings.read_text("utf-8")):
        settings.write_text(text + _OWN_SETTINGS, "utf-8")


class Renderer:
    """One PHP process that renders pages of one wiki; use it in a `with` statement."""

    def __init__(self, home: Path, facts: Facts) -> None:
        settings = home / "conf" / "LocalSettings.php"
        if not settings.exists() or shutil.which("php") is None:
            sys.exit("scripts/oracle: MediaWiki is not installed here; `scripts/oracle setup` does it (as root)")
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name, "facts.json")
        facts.write(path)
        self._environment = os.environ | {
            "MW_INSTALL_PATH": str(_MEDIAWIKI), "MW_CONFIG_FILE": str(settings), "ORACLE_FACTS": str(path),
            "ORACLE_SETTINGS": str(_SCRIPTS.resolve() / "oracle_settings.php"),
        }  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def render(self, pages: Iterable[tuple[str, str]]) -> list[str]:
        """Return the HTML of each page, given as (title, wikitext)."""
        lines = [json.dumps({"title": title, "text": text}) for title, text in pages]
        half = (len(lines) + 1) // 2
        with ThreadPoolExecutor() as pool:  # one parser uses one core
            parts = pool.map(self._render, filter(None, (lines[:half], lines[half:])))
            return [html for part in parts for html in part]

    def namespaces(self, language: str) -> dict[int, str]:
        """Return the names of the namespaces on a wiki of this language, as the header of its dump has them."""
        (found,) = self._render([json.dumps({"namespaces": language})])
        names = cast("dict[str, str]", found)
        return {int(number): name.replace("_", " ") for number, name in names.items()}

    def _render(self, lines: list[str]) -> list[Any]:
        command = ["php", "-d", "memory_limit=2G", str(_SCRIPTS / "oracle_render.php")]
        shown = subprocess.run(
            command, input="\n".join(lines) + "\n", stdout=subprocess.PIPE, text=True, check=True, env=self._environment
        ).stdout.splitlines()
        if len(shown) != len(lines):
            raise RuntimeError(f"MediaWiki rendered {len(shown)} of {len(lines)} pages")
        return [json.loads(line) for line in shown]
