"""`charlm demo`: prepare, train, evaluate and sample, on the built-in corpus."""

import contextlib
import sys

from charlm import terminal
from charlm.commands.options import JsonOption, OverwriteOption, SetOption, start_time


def demo(settings: SetOption = None, overwrite: OverwriteOption = False, as_json: JsonOption = False) -> None:
    """Prepare, train, evaluate and sample on the built-in sample corpus: about two minutes."""
    from charlm.workflows.demo import run_demo

    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        result = run_demo(settings or (), start_time(), print, overwrite=overwrite)
    if as_json:
        terminal.print_json(result)
