"""The journal: a file with tasks and results, so that they survive the process."""
