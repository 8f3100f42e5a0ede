"""The only package that writes files: a name is either absent or holds a whole, durable file.

    bytes, text, JSON ──> whole_files ──> temporary name, fsync, rename ──> the final name
    lines, downloads  ──> growing_files ──────────────────────────────────> a log, or NAME.part until it is whole

whole_files         files that appear at once, JSON among them     manifest      what makes a checkpoint exist
whole_directories   directories that appear at once                lock          one process a directory
growing_files       logs and partial downloads                     disk_errors   which StorageError an OSError becomes
directories         made, renamed, removed; the cache
special_files       pipes and devices, which are written through
"""

from charlm.storage.directories import (
    cache_directory,
    check_writable,
    directory_name,
    expand_home,
    make_directory,
    name_missing_home,
    remove_tree,
    rename,
    sync_directory,
)
from charlm.storage.disk_errors import path_error, storage_errors
from charlm.storage.growing_files import PartialFile, append_bytes, append_line, sync_file
from charlm.storage.lock import DirectoryLock, is_locked
from charlm.storage.manifest import MANIFEST, has_manifest, verify_manifest, write_manifest
from charlm.storage.special_files import follow_links, is_special
from charlm.storage.whole_directories import atomic_directory, restore_directory
from charlm.storage.whole_files import (
    atomic_file,
    from_json,
    link_or_copy,
    read_json,
    read_text,
    remove_stale_temporaries,
    scratch_file,
    sha256,
    to_json,
    write_bytes,
    write_json,
    write_text,
)

__all__ = [
    "MANIFEST",
    "DirectoryLock",
    "PartialFile",
    "append_bytes",
    "append_line",
    "atomic_directory",
    "atomic_file",
    "cache_directory",
    "check_writable",
    "directory_name",
    "expand_home",
    "follow_links",
    "from_json",
    "has_manifest",
    "is_locked",
    "is_special",
    "link_or_copy",
    "make_directory",
    "name_missing_home",
    "path_error",
    "read_json",
    "read_text",
    "remove_stale_temporaries",
    "remove_tree",
    "rename",
    "restore_directory",
    "scratch_file",
    "sha256",
    "storage_errors",
    "sync_directory",
    "sync_file",
    "to_json",
    "verify_manifest",
    "write_bytes",
    "write_json",
    "write_manifest",
    "write_text",
]
