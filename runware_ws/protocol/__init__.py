"""The protocol without its I/O: no sockets, no clock, no randomness."""
