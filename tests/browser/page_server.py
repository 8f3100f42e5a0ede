"""The page of `charlm serve`, from a server in a thread of this process that listens at a real port."""

import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import uvicorn

from charlm.api import Model
from charlm.checkpoint import LoadedModel
from charlm.serving.access import AccessRules
from charlm.serving.application import build_application
from charlm.serving.engine import BatchEngine
from charlm.serving.limits import LIMITS
from charlm.serving.served_models import ServedModels
from tests.serving.served import LOCAL, served


@contextmanager
def page_server(
    models: Mapping[str, Model | LoadedModel], *, rules: AccessRules = LOCAL, lines: list[str] | None = None
) -> Generator[str, None, None]:
    """Serve models, and yield the URL.

    Args:
        lines: gets the lines of the log.
    """
    engine = BatchEngine(LIMITS)
    known = ServedModels([served(name, model) for name, model in models.items()])
    app = build_application(known, engine, LIMITS, rules, (lines if lines is not None else []).append)
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}/"
        finally:
            engine.close()
            server.should_exit = True
            thread.join()
