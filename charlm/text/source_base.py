"""What the rest of charlm asks about the settings of a source, so that it need not know one by its name."""

from typing import ClassVar

from charlm.settings import Settings


class BaseSourceSettings(Settings):
    """Base of the settings of sources. A source overrides what it is true for."""

    takes_globs: ClassVar[bool] = False
    """Whether an input may be a pattern of names, such as `data/**/*.txt`."""
    local_text: ClassVar[str] = ""
    """What a source without inputs reads on this machine, as in `the documentation of this Python has changed`."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The files, folders and URLs that are read instead of what the source would read by itself."""
        return getattr(self, "input", ())
