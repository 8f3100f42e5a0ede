"""Scalars and texts for TensorBoard, an optional package: `pip install tensorboard`.

Events are written at once: TensorBoard's own writer uses a thread, where a full disk ends in a traceback.
"""

import importlib.util
import io
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.storage import append_bytes, make_directory


class TensorBoardWriter:
    """An event file; TensorBoard hides the events after `step` of older files, since the run resumes from `step`."""

    def __init__(self, directory: Path, step: int) -> None:
        """
        Raises:
            UsageError: TensorBoard is not installed.
            StorageError: the directory cannot be written.
        """
        if importlib.util.find_spec("tensorboard") is None:
            raise UsageError(
                "training.tensorboard = true needs TensorBoard, which is not installed",
                "run `pip install tensorboard`, or leave the setting out",
            )
        from tensorboard.compat.proto import event_pb2

        proto: Any = event_pb2
        make_directory(directory)
        # TensorBoard reads the files in the order of their names, and the clock may have been set back meanwhile.
        begun = max([time.time(), *(number + 1 for number in _times_in_names(directory))])
        self._path = directory / f"events.out.tfevents.{begun:010.0f}.{socket.gethostname()}.{os.getpid()}"
        start = proto.SessionLog(status=proto.SessionLog.START)
        self._write(step + 1, [{"file_version": "brain.Event:2"}, {"session_log": start}])

    def add_scalars(self, kind: str, metrics: Mapping[str, Any], step: int) -> None:
        """Write the metrics that are not None, as KIND/NAME.

        Raises:
            StorageError: the event file cannot be written.
        """
        from torch.utils.tensorboard.summary import scalar

        scalars = {f"{kind}/{name}": value for name, value in metrics.items() if value is not None}
        self._write(step, [{"summary": scalar(name, value)} for name, value in scalars.items()])

    def add_text(self, name: str, text: str, step: int) -> None:
        """Write a text.

        Raises:
            StorageError: the event file cannot be written.
        """
        from torch.utils.tensorboard import summary

        self._write(step, [{"summary": summary.text(name, f"```\n{text}\n```")}])

    def _write(self, step: int, contents: Iterable[dict[str, Any]]) -> None:
        from tensorboard.compat.proto import event_pb2
        from torch.utils.tensorboard import RecordWriter

        proto: Any = event_pb2
        records = io.BytesIO()
        for content in contents:
            event = proto.Event(wall_time=time.time(), step=step, **content)
            RecordWriter(records).write(event.SerializeToString())
        append_bytes(self._path, records.getvalue())


def _times_in_names(directory: Path) -> Iterator[int]:
    """Yield the seconds in the names of the event files."""
    for path in directory.glob("events.out.tfevents.*"):
        if found := re.match(r"events\.out\.tfevents\.(\d{10})\.", path.name):
            yield int(found[1])
