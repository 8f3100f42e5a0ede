"""The routes, and what every request passes through before and behind them.

RequestLog ──> [CORS, if a page elsewhere was allowed] ──> AccessGuard ──> routes ──> Service
"""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from charlm.errors import CharlmError
from charlm.serving.access import AccessGuard, AccessRules
from charlm.serving.api_error import ApiError, as_api_error
from charlm.serving.engine import Engine
from charlm.serving.json_response import error_response
from charlm.serving.limits import Limits
from charlm.serving.page_files import Page
from charlm.serving.request_log import RequestLog
from charlm.serving.served_models import ServedModels
from charlm.serving.service import Service

_PATHS = (
    "/, /v1/completions, /v1/models, /predict, /labels, /tokenize, /detokenize, /tokenizer_info, /vocabulary,"
    " /distribution and /health"
)


def build_application(
    models: ServedModels, engine: Engine, limits: Limits, rules: AccessRules, write_line: Callable[[str], None]
) -> ASGIApp:
    """Return the application.

    Args:
        write_line: gets a line for each request.
    """
    service = Service(models, engine, limits, Page(needs_key=rules.api_key is not None))
    routes = [
        Route("/", service.index),
        Route("/page/{name}", service.page_file),
        Route("/health", service.health),
        Route("/v1/models", service.models),
        Route("/v1/models/{name:path}", service.model),
        Route("/v1/completions", service.completions, methods=["POST"]),
        Route("/v1/chat/completions", service.chat, methods=["GET", "POST"]),
        Route("/predict", service.predict, methods=["POST"]),
        Route("/labels", service.labels),
        Route("/tokenize", service.tokenize, methods=["POST"]),
        Route("/detokenize", service.detokenize, methods=["POST"]),
        Route("/tokenizer_info", service.tokenizer_info),
        Route("/vocabulary", service.vocabulary),
        Route("/distribution", service.distribution, methods=["POST"]),
    ]
    handlers = dict.fromkeys((ApiError, CharlmError, HTTPException, Exception), _on_error)
    app: ASGIApp = AccessGuard(Starlette(routes=routes, exception_handlers=handlers), rules)
    if rules.allowed_origins:
        app = CORSMiddleware(app, rules.allowed_origins, allow_methods=("GET", "POST"), allow_headers=("*",))
    return RequestLog(app, write_line)


async def _on_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = _routing_error(request, error)
    return error_response(as_api_error(error))


def _routing_error(request: Request, error: HTTPException) -> ApiError:
    """The error for a path or a method that there is not."""
    if error.status_code == 405:
        what, cure = f"{request.method} is not for this path", "use another method"
    else:
        what, cure = "there is nothing at this path", f"there are {_PATHS}"
    return ApiError(error.status_code, what, cure, headers=error.headers)
