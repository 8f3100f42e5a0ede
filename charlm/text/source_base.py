"""What the rest of charlm asks about the settings of a source, so that it need not know one by its name."""

from typing import ClassVar

from charlm.settings import Settings


class BaseSourceSettings(Settings):
    """Base of the settings of sources. A kind of source overrides the properties whose defaults are wrong for it."""

    takes_globs: ClassVar[bool] = False
    """Whether an input may be a pattern of names, such as `data/**/*.txt`."""
    local_text: ClassVar[str] = ""
    """What a source without inputs reads on this machine, as in `the documentation of this Python has changed`."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The files, folders and URLs that are read instead of what the source would read by itself."""
        return getattr(self, "input", ())

    @property
    def keeps_downloads(self) -> bool:
        """Whether charlm downloads the text to its cache, from which `--discard-dump` deletes it."""
        return False

    @property
    def asks_a_server(self) -> bool:
        """Whether the text comes from a server, which `--refresh` asks again."""
        return self.keeps_downloads


class PublishedSettings(BaseSourceSettings):
    """Base of the settings of texts that are downloaded once, unless a local copy is the input."""

    @property
    def keeps_downloads(self) -> bool:
        return not self.inputs
