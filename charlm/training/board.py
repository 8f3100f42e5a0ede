"""Figures and texts for TensorBoard, which is an extra: `pip install 'charlm[tensorboard]'`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.storage import storage_errors


class Board:
    """Event files in one directory; what was written after `step` is hidden when a run goes on from there."""

    def __init__(self, directory: Path, step: int) -> None:
        """
        Raises:
            UsageError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "training.tensorboard = true needs TensorBoard, which is not installed",
                "pip install 'charlm[tensorboard]', or leave the setting out",
            ) from error
        self._directory = directory
        with storage_errors(directory):
            self._writer = SummaryWriter(str(directory), purge_step=step + 1)

    def figures(self, kind: str, figures: Mapping[str, Any], step: int) -> None:
        with storage_errors(self._directory):
            for name, value in figures.items():
                if value is not None:
                    self._writer.add_scalar(f"{kind}/{name}", value, step)

    def text(self, name: str, text: str, step: int) -> None:
        with storage_errors(self._directory):
            self._writer.add_text(name, f"```\n{text}\n```", step)

    def close(self) -> None:
        with storage_errors(self._directory):
            self._writer.close()
