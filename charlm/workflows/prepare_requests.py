"""Check that each option of `charlm prepare` has an effect on the source that the settings choose.

settings, options ──check_source_options, check_download_options──> nothing, or a UsageError that names the option
"""

from collections.abc import Collection

from charlm.errors import UsageError
from charlm.text.settings import HubSettings, SourceSettings, WikipediaSettings

_WIKIPEDIA_ON_THE_HUB = "wikimedia/wikipedia"


def check_source_options(source: SourceSettings, given: Collection[str]) -> None:
    """Check options that name a text, such as --language, beside others that name one too.

    Args:
        given: the names of the parameters that the command line gives, such as `language`.

    Raises:
        UsageError: an option has no effect on this source.
    """
    unused: dict[str, str] = {}
    match source:
        case WikipediaSettings():
            if source.input:
                unused = {"language": "the dump says its language itself", "date": "--input names the dump"}
            elif source.wiki:
                unused = {"language": f"the wiki is {source.wiki}"}
        case HubSettings():
            if source.input:
                unused = {"language": "--input names the text"}
            elif source.config or source.dataset != _WIKIPEDIA_ON_THE_HUB:
                unused = {"language": f"the dataset is {source.dataset} {source.config}".rstrip()}
        case _:
            pass
    for name, reason in unused.items():
        if name in given:
            raise UsageError(f"--{name} has no effect here: {reason}", "leave one of them out")


def check_download_options(source: SourceSettings, *, refresh: bool, discard_dump: bool, dry_run: bool) -> None:
    """Check options about downloads.

    Raises:
        UsageError: the source downloads nothing, or a dry run is to change the cache.
    """
    if dry_run and (refresh or discard_dump):
        name = "--refresh" if refresh else "--discard-dump"
        raise UsageError(f"--dry-run changes nothing, and {name} deletes files of the cache", "leave one of them out")
    if refresh and not source.asks_a_server:
        raise UsageError("--refresh asks a server, and this text is on this machine", "leave it out")
    if discard_dump and not source.keeps_downloads:
        what = "--discard-dump deletes what charlm has downloaded, and this source leaves nothing in its cache"
        raise UsageError(what, "leave it out")
