"""Run the probes of ``doctor``, which imports this when it runs, since it imports all of them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

from ..doctor import local
from ..doctor.findings import Findings
from ..doctor.lab import Lab, Purse, Times
from ..doctor.lessons import lessons
from ..doctor.profile import update_profile
from ..doctor.rendering import Screen, json_of, line_of
from ..doctor.table import FREE, LIMIT, PAID, Row, go_through
from ..protocol.secret import Secret
from ..transport import Target
from .errors import one_line
from .output import write_line


async def examine(report: Report, target: Target, key: Secret | None, *, spend: bool) -> None:
    """Check this machine, and then probe the service, unless it cannot be reached."""
    report.add(local.python())
    report.add(local.packages())
    if key is None:
        row, key = local.key()
        report.add(row)
    async for row in local.way_to(target):
        report.add(row)
    if key is None or report.wrong:
        report.add(Row("probes", "not tried while something above is wrong", "skipped"))
        return
    report.lab = lab = Lab(target, key, Times(), Purse(LIMIT))
    if spend:
        report.message(f"the probes cost ${LIMIT:.2f} at most")
    probes = (*FREE, *PAID) if spend else FREE
    is_complete = await go_through(probes, lab, begin=report.begin, report=report.add)
    if is_complete and not spend:
        text = f"not tried: they cost ${LIMIT:.2f} at most, and need --spend"
        report.add(Row(f"{len(PAID)} more probes", text, "skipped"))


class Report:
    """Prints what is found out, and keeps it in a profile.

    Args:
        as_json: print nothing but one JSON object, at the end.
        is_kept: whether to write a profile.

    Attributes:
        wrong: the names of what is wrong.
        lab: what the probes find out; None before they begin.
    """

    def __init__(self, *, as_json: bool, is_kept: bool) -> None:
        self.wrong: list[str] = []
        self.lab: Lab | None = None
        self._as_json = as_json
        self._is_kept = is_kept
        self._rows: list[Row] = []
        self._screen = Screen() if sys.stdout.isatty() and not as_json else None

    def message(self, text: str) -> None:
        """Print a message for the user."""
        if self._screen is not None:
            self._screen.print(text)
        else:
            write_line(sys.stderr if self._as_json else sys.stdout, text)

    def begin(self, name: str) -> None:
        """Show what is being probed, on a terminal."""
        if self._screen is not None:
            self._screen.show(name)

    def add(self, row: Row) -> None:
        """Print a row."""
        row = replace(row, text=one_line(row.text))  # it may quote the service
        self._rows.append(row)
        if row.state == "wrong":
            self.wrong.append(row.name)
        if self._screen is not None:
            self._screen.print_row(row)
        elif not self._as_json:
            write_line(sys.stdout, line_of(row))

    def close(self) -> None:
        """Keep what was found out, and print the end of the report."""
        if self._screen is not None:
            self._screen.clear()
        findings = Findings() if self.lab is None else self.lab.findings
        if self.lab is not None and self._is_kept and findings.known():
            findings = self._keep(self.lab)
        if self._as_json:
            write_line(sys.stdout, json.dumps(self._json(findings)))
            return
        for lesson in lessons(findings):
            self.message(f"a client {lesson.words}")
        self.message(f"wrong: {', '.join(self.wrong)}" if self.wrong else "all is well")

    def _keep(self, lab: Lab) -> Findings:
        """Update the profile, and return what it knows."""
        try:
            findings, path = update_profile(lab.findings, lab.target.url, lab.key)
        except OSError as error:
            self.add(Row("profile", f"cannot be written: {error.strerror}", "wrong"))
            return lab.findings
        self.add(Row("profile", str(path)))
        return findings

    def _json(self, findings: Findings) -> dict[str, Any]:
        return {
            "checks": [json_of(row) for row in self._rows],
            "wrong": self.wrong,
            "cost": 0.0 if self.lab is None else round(self.lab.purse.spent, 6),
            "findings": findings.known(),
            "client": [lesson.words for lesson in lessons(findings)],
        }
