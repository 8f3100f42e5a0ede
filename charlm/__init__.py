"""charlm: character-level language models, from any Wikipedia to honestly measured text."""

__version__ = "0.1.0"
