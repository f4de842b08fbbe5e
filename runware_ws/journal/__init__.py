"""Tasks and results in a file, so that they survive the process."""
