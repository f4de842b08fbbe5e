"""Show the rows of the doctor: as a line of text, as JSON, or on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import Row

if TYPE_CHECKING:
    from rich.live import Live

_STYLES = {"ok": "green", "failed": "bold red", "unknown": "yellow", "skipped": "dim"}
_MARK_WIDTH, _NAME_WIDTH = 7, 27
_MIN_COLUMNS = 100  # in a narrower terminal the name stands before the result, in one column


def line_of(row: Row) -> str:
    """Return a row as one line of text."""
    client = "".join(f"; the client {text}" for text in row.client)
    return f"{row.state:<{_MARK_WIDTH}} {row.name}: {row.text}{_cost(row)}{client}"


def json_of(row: Row) -> dict[str, Any]:
    """Return a row as a JSON object."""
    return {
        "name": row.name,
        "state": row.state,
        "result": row.text,
        "cost": row.cost,
        "client": list(row.client),
    }


def _cost(row: Row) -> str:
    if row.cost is None:
        return ""
    return f" (${row.cost:.4f})" if row.cost else " (free)"


class Screen:
    """A terminal that shows rows in columns, and the running probe below them."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._live: Live | None = None

    def show(self, name: str) -> None:
        """Show the name of the running probe until the next row or text is printed."""
        from rich.live import Live
        from rich.text import Text

        self.clear()
        text = Text(f"{'…':<{_MARK_WIDTH}} {name}", style="dim")
        # Without its thread: the text does not move.
        self._live = Live(text, console=self._console, auto_refresh=False, transient=True)
        self._live.start(refresh=True)

    def print(self, text: str) -> None:
        """Print a text."""
        self.clear()
        self._console.print(text, markup=False)

    def print_row(self, row: Row) -> None:
        """Print a row. A long text is wrapped within its column."""
        from rich.table import Table
        from rich.text import Text

        self.clear()
        text = Text(row.text).append(_cost(row), style="dim")
        for words in row.client:
            text.append(f"\nthe client {words}", style="cyan")
        name = Text(row.name, style="bold")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=_MARK_WIDTH)
        mark = Text(row.state, style=_STYLES[row.state])
        if self._console.width < _MIN_COLUMNS:
            grid.add_column(overflow="fold")
            grid.add_row(mark, Text.assemble(name, ": ", text))
        else:
            grid.add_column(width=_NAME_WIDTH)
            grid.add_column(overflow="fold")
            grid.add_row(mark, name, text)
        self._console.print(grid)

    def clear(self) -> None:
        """Remove the name of the running probe."""
        if self._live is not None:
            self._live.stop()
            self._live = None
