"""The commands as functions: from names and settings to a result that can be printed."""
