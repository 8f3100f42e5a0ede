"""A text file -> its bytes in chunks, decompressed if it is a gz, bz2, xz, or a zip of one file.

Damaged files, and files that are not text by their first bytes, are errors. File names do not matter.
"""

import itertools
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from charlm.errors import DataError
from charlm.storage import storage_errors
from charlm.text.reading.unpacking import BZ2, DAMAGED_FILE_CURE, MAGIC, read_xml

_CHUNK = 1 << 18
_HEAD_BYTES = 512
_BZ2_BLOCK_MAGIC = (b"1AY&SY", b"\x17rE8P\x90")
"""One of these follows the four bytes of a bz2 header; a text may begin with `BZh` too."""
_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\x28\xb5\x2f\xfd": "a zstandard file",
    b"]\0\0\x80\0": "an lzma file",
    MAGIC["gz"]: "a gzip file",
    MAGIC["xz"]: "an xz file",
    MAGIC["zip"]: "a zip archive",
}
_BINARY_MAGIC = {
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"%PDF-": "a PDF document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an office document",
    b"\x7fELF": "a program",
    b"PAR1\x15": "a parquet file",
    b"ARROW1\0\0": "an arrow file",
    b"SQLite format 3\0": "a database",
}


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the decompressed bytes of a text file; no chunk is empty.

    Raises:
        DataError: damaged, an archive of several files, or not text.
        StorageError: the file cannot be read.
    """
    with storage_errors(path, "read"), open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
        compression = _detect_compression(head)
        if compression == "zip":
            chunks = _unzip(path)
        elif compression:
            chunks = (piece.xml for piece in read_xml(path, compression))
        else:
            chunks = itertools.chain((head,), iter(lambda: file.read(_CHUNK), b""))
        yield from reject_binary(str(path), chunks)


def reject_binary(name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes, unless they begin as a binary file does.

    Raises:
        DataError: they are not text; names the kind of file.
    """
    remaining = iter(chunks)
    head = b""
    for chunk in remaining:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    for magic, kind in _BINARY_MAGIC.items():
        if head.startswith(magic):
            raise DataError(f"{name} is {kind}, not text", "leave the file out, or convert it to text")
    archives = (kind for magic, kind in _ARCHIVES.items() if head.startswith(magic))
    archive = "a tar archive" if head[257:262] == b"ustar" else next(archives, "a bz2 file" if _is_bz2(head) else "")
    if archive:
        raise DataError(f"{name} is {archive}, not text", "decompress it first")
    if head:
        yield head
    yield from (chunk for chunk in remaining if chunk)


def _detect_compression(head: bytes) -> str:
    if _is_bz2(head):
        return BZ2
    return next((name for name in ("zip", "gz", "xz") if head.startswith(MAGIC[name])), "")


def _is_bz2(head: bytes) -> bool:
    return head.startswith(MAGIC[BZ2]) and head[4:10] in _BZ2_BLOCK_MAGIC


def _unzip(path: Path) -> Iterator[bytes]:
    """Yield the bytes of the only file in a zip archive, never more than the archive says that it has."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise DataError(
                    f"{path} is an archive of {len(members)} files", "unpack it and give the files to read with --input"
                )
            with archive.open(members[0]) as file:
                yield from iter(lambda: file.read(_CHUNK), b"")
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: corrupt zip archive ({error})", DAMAGED_FILE_CURE) from error
    except (NotImplementedError, RuntimeError) as error:  # an unknown compression method, or a password
        raise DataError(f"{path} cannot be unpacked ({error})", "unpack it with another program first") from error
    except OSError as error:
        if error.errno is not None:  # the disk failed
            raise
        raise DataError(f"{path}: corrupt zip archive ({error})", DAMAGED_FILE_CURE) from error  # bz2 raises this
