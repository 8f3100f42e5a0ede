"""`charlm --version`: the facts of an installation that a report of a bug needs."""

import platform
from collections.abc import Iterator

from charlm import formats, terminal
from charlm.version import __version__


def describe_installation() -> Iterator[str]:
    """Yield lines: the versions of charlm, Python and torch, the device, and the file formats that are written."""
    yield f"charlm {__version__}"
    yield f"Python {platform.python_version()}"
    try:
        yield from list(_torch())
    except Exception as error:  # noqa: BLE001 - a missing or broken torch may raise anything
        yield terminal.printable(f"torch does not work: {type(error).__name__}: {' '.join(str(error).split())}")
    yield f"corpus format {formats.CORPUS}"
    yield f"vocabulary format {formats.VOCABULARY}"
    yield f"checkpoint format {formats.CHECKPOINT}"
    yield f"conversation format {formats.CONVERSATION}"


def _torch() -> Iterator[str]:
    """The build of torch, and the device and precision that `auto` chooses."""
    import torch

    from charlm.device import choose_device, resolve_precision

    toolkits = {"CUDA": torch.version.cuda, "ROCm": getattr(torch.version, "hip", None)}
    built = [f"{name} {version}" for name, version in toolkits.items() if version]
    built += ["MPS"] if torch.backends.mps.is_built() else []
    yield f"torch {torch.__version__}, built for {' and '.join(built) or 'CPUs only'}"
    device = choose_device("auto")
    name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    yield f"device {device.type}{name}, precision {resolve_precision('auto', device)}"
