"""JSON files -> rows, also with lone surrogates, which `datasets` refuses without naming the row."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from charlm.errors import DataError
from charlm.storage import storage_errors


def read_json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSON file: the items of a list, or one object a line.

    Raises:
        DataError: a line is not JSON, or not an object.
    """
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
                raise DataError(f"{place} is not JSON: {error}", "repair it, or leave it out") from error
            for row in found if isinstance(found, list) else [found]:
                if not isinstance(row, dict):
                    raise DataError(
                        f"{path} has {row!r:.40} instead of an object with columns",
                        "give a file of JSON objects, one a line",
                    )
                yield row


def check_surrogates(paths: Sequence[Path]) -> None:
    """Check that no row has a lone surrogate.

    Raises:
        DataError: a row has one (names the row), or a line is not JSON.
    """
    number = 0
    for path in paths:
        for row in read_json_rows(path):
            if re.search("[\ud800-\udfff]", json.dumps(row, ensure_ascii=False)):
                raise surrogate_error(number)
            number += 1


def surrogate_error(number: int) -> DataError:
    """Return the error for a row, counted from 0, with a lone surrogate."""
    return DataError(
        f"row {number} has a lone surrogate, which is not a character",
        "add --errors replace, or repair the row",
    )
