"""JSON files -> rows, of any strings that JSON can hold: `datasets` refuses lone surrogates, and does not say where."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from charlm.errors import DataError
from charlm.storage import storage_errors


def read_json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON file: of a list, or one a line. `datasets` refuses lone surrogates, and this does not."""
    with storage_errors(path, "read"), open(path, "rb") as file:
        is_list = file.read(1) == b"["
        file.seek(0)
        for number, content in enumerate([file.read()] if is_list else file):
            if not content.strip():
                continue
            try:
                found: object = json.loads(content)
            except (ValueError, RecursionError) as error:
                place = f"line {number + 1} of {path}" if not is_list else str(path)
                raise DataError(f"{place} is not JSON: {error}", "mend it, or leave it out") from error
            for row in found if isinstance(found, list) else [found]:
                if not isinstance(row, dict):
                    raise DataError(f"{path} holds {row!r:.40}, not objects with columns", "give JSON lines")
                yield row


def check_surrogates(paths: Sequence[Path]) -> None:
    """Name the first row with a lone surrogate: the libraries say only that there is one.

    Raises:
        DataError: there is one, or a line is not JSON.
    """
    number = 0
    for path in paths:
        for row in read_json_rows(path):
            if re.search("[\ud800-\udfff]", json.dumps(row, ensure_ascii=False)):
                raise surrogate_error(number)
            number += 1


def surrogate_error(number: int) -> DataError:
    """The error of a row, counted from 0, that has a lone surrogate."""
    return DataError(
        f"row {number} has a lone surrogate, which is no character",
        'set corpus.source.errors = "replace", or mend that row',
    )
