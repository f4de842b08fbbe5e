"""The service without its network: a pure core that does no I/O and reads no clock.

`core.Service` receives events with the time, and returns effects to perform. Nothing in this folder
imports a library that does I/O, draws random numbers or reads a clock; `tests/test_structure.py`
enforces it.
"""
