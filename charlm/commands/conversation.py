"""`charlm sample --interactive`: a prompt loop over one text that grows.

a line          the model reads it and continues
an empty line   the model continues
/command        see HELP
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from charlm import terminal
from charlm.errors import CharlmError, UsageError

if TYPE_CHECKING:
    from charlm.sampling.options import SamplingOptions
    from charlm.sampling.session import Session
    from charlm.vocab.base import Vocab

HELP = """\
TEXT              the model reads TEXT and continues it; an empty line: it continues
/temperature T    0 is greedy, 1 the model's own distribution
/length N         characters to write each time
/back             undo the last text that was read or written
/branch NAME      keep the conversation under a name   /go NAME     return to it
/text             show the whole text so far
/save FILE        write the conversation to a file     /load FILE   return to it
/quit             leave (so does Ctrl-D)"""
_PROMPT = "> "
_MAX_DIGITS = 10


def run_conversation(session: "Session", vocab: "Vocab", options: "SamplingOptions", *, single_document: bool) -> None:
    """Read lines and answer them until the person leaves. An error is printed, and the conversation goes on.

    Args:
        single_document: whether the text ends with its document.
    """
    if options.prompt:
        session.read(options.prompt)
    terminal.note("the model reads what you type and continues it; /help lists the commands, /quit leaves")
    conversation = _Conversation(session, vocab, options, single_document=single_document)
    while True:
        if sys.stdin.isatty():
            sys.stdout.write(_PROMPT)
            sys.stdout.flush()
        line = terminal.read_line()
        if line is None:
            return
        try:
            if not conversation.handle_line(line):
                return
        except CharlmError as error:
            terminal.note("; ".join(error.for_command_line()))


class _Conversation:
    """The commands of the prompt loop."""

    def __init__(
        self, session: "Session", vocab: "Vocab", options: "SamplingOptions", *, single_document: bool
    ) -> None:
        self._session = session
        self._vocab = vocab
        self._options = options
        self._single_document = single_document
        self._commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: terminal.note(HELP),
            "temperature": self._set_temperature,
            "length": self._set_length,
            "back": lambda _: session.undo(),
            "branch": lambda name: session.save_branch(_require_name(name)),
            "go": lambda name: session.switch_to_branch(_require_name(name)),
            "text": lambda _: self._show(session.snapshot.text),
            "save": lambda name: session.save(Path(_require_name(name))),
            "load": lambda name: session.load(Path(_require_name(name))),
        }

    def handle_line(self, line: str) -> bool:
        """Do what a line asks for; return whether the conversation goes on.

        Raises:
            CharlmError: it cannot be done.
        """
        _check_unicode(line)
        if not line.startswith("/"):
            if line:
                self._session.read(line)
            self._write()
            return True
        name, _, rest = line[1:].partition(" ")
        if name in ("quit", "exit"):
            return False
        if name not in self._commands:
            raise UsageError(f"there is no command /{name}", f"/help lists them: {', '.join(self._commands)}, quit")
        self._commands[name](rest.strip())
        return True

    def _write(self) -> None:
        from charlm.sampling.plan import plan_sampling

        plan = plan_sampling(self._options, self._vocab, single_document=self._single_document)
        for piece in self._session.write(plan):
            terminal.write(piece)
        sys.stdout.write("\n")
        sys.stdout.flush()

    def _set_temperature(self, text: str) -> None:
        self._options = replace(self._options, temperature=text)

    def _set_length(self, text: str) -> None:
        if not (text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS):
            raise UsageError(f"/length {text[:40]!r} is not a number of characters", "give one such as /length 200")
        self._options = replace(self._options, length=int(text))

    def _show(self, text: str) -> None:
        terminal.write(text)
        sys.stdout.write("\n")
        sys.stdout.flush()


def _check_unicode(line: str) -> None:
    try:
        line.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"character {error.start + 1:,} of the line is not in the terminal's encoding, {sys.stdin.encoding}",
            "type it again, or set the terminal and LC_ALL to UTF-8",
        ) from error


def _require_name(name: str) -> str:
    if not name or "\0" in name:
        what = "the name has the character U+0000" if name else "the name is missing"
        raise UsageError(what, "write it after the command")
    return name
