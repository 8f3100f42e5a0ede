"""`charlm serve`: models behind an HTTP API, and a page that uses it."""

import contextlib
from importlib.util import find_spec
from typing import Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import CheckpointOption, DeviceOption, run_or_bundled
from charlm.errors import UsageError

_PACKAGES = ("starlette", "uvicorn")


def serve(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Runs, by name or directory, or checkpoints; the last run if left out. Clients choose one by the name"
            " of its directory.",
            autocompletion=completion.runs,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="The address to listen at. One that other machines can reach, such as 0.0.0.0, needs --api-key.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65_535, help="The port to listen at; 0 for any free one.")
    ] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="SECRET",
            envvar="CHARLM_API_KEY",
            show_envvar=False,
            help="The key that clients must send. Other users of this machine can see it in the list of processes; the"
            " environment variable CHARLM_API_KEY hides it from them.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="Let web pages of this origin, such as https://example.org, use the server (repeatable).",
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the server's page in a browser.")] = False,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="Answer a request with the same text whatever else is asked at the time, bit for bit. One stream is"
            " then slower.",
        ),
    ] = False,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Serve models until Ctrl-C: a page for people, and an API for OpenAI's client and other programs.

    The address is printed on stdout, and one line for each request on stderr.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        is_missing = "is" if len(missing) == 1 else "are"
        raise UsageError(
            f"serve needs {names}, which {is_missing} not installed", f"run `pip install {' '.join(missing)}`"
        )
    from charlm.serving.address import ServerOptions, bind
    from charlm.serving.served_models import load_models
    from charlm.serving.server import serve as serve_models
    from charlm.workspace import drop_current_file

    options = ServerOptions(
        host=host,
        port=port,
        api_key=api_key,
        allowed_origins=allow_origin or (),
        opens_browser=open_browser,
        is_deterministic=deterministic,
    )
    with bind(options) as bound:
        models = load_models(drop_current_file(runs or []) or [run_or_bundled(None)], checkpoint, device)

        def announce(url: str) -> None:
            print(url, flush=True)
            names = ", ".join(model.id for model in models.all)
            _write_line(f"serving {names}; the base_url of OpenAI's client is {url}/v1; Ctrl-C ends the server")

        serve_models(models, bound, options, announce, _write_line)


def _write_line(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads the log, or its disk is full: the server goes on
        terminal.note(line)
