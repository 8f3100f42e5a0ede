"""The commands, one file each: parse, call one function, print. Heavy imports stay inside the functions."""
