"""``python -m runware_ws`` is ``runware-ws``."""

from runware_ws.cli import main

if __name__ == "__main__":
    main()
