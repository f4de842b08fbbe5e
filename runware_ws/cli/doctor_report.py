"""Run the probes of ``doctor``. The command imports this module late, as it imports all probes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

from ..doctor import local
from ..doctor.adjustments import adjustments
from ..doctor.context import Allowance, ProbeContext, Times
from ..doctor.findings import Findings
from ..doctor.profile import update_profile
from ..doctor.rendering import Screen, json_of, line_of
from ..doctor.table import FREE, LIMIT, PAID, Row, run_probes
from ..protocol.secret import Secret
from ..transport import Target
from .errors import one_line
from .output import write_line


async def examine(report: Report, target: Target, key: Secret | None, *, spend: bool) -> None:
    """Check this machine, and then probe the service, unless it cannot be reached."""
    report.add(local.check_python())
    report.add(local.check_packages())
    if key is None:
        row, key = local.check_key()
        report.add(row)
    async for row in local.check_connection(target):
        report.add(row)
    if key is None or report.failed:
        report.add(Row("probes", "not tried, because a check above failed", "skipped"))
        return
    report.context = context = ProbeContext(target, key, Times(), Allowance(LIMIT))
    if spend:
        report.message(f"the probes cost at most ${LIMIT:.2f}")
    probes = (*FREE, *PAID) if spend else FREE
    is_complete = await run_probes(probes, context, begin=report.begin, report=report.add)
    if is_complete and not spend:
        text = f"not tried: they need --spend, and cost at most ${LIMIT:.2f}"
        report.add(Row(f"{len(PAID)} more probes", text, "skipped"))


class Report:
    """Prints the findings, and keeps them in a profile.

    Args:
        as_json: print nothing but one JSON object, at the end.
        is_kept: whether to write a profile.

    Attributes:
        failed: the names of the failed checks.
        context: the state of the probes; None before they begin.
    """

    def __init__(self, *, as_json: bool, is_kept: bool) -> None:
        self.failed: list[str] = []
        self.context: ProbeContext | None = None
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
        """Show the name of the running probe, on a terminal."""
        if self._screen is not None:
            self._screen.show(name)

    def add(self, row: Row) -> None:
        """Print a row."""
        row = replace(row, text=one_line(row.text))  # it may quote the service
        self._rows.append(row)
        if row.state == "failed":
            self.failed.append(row.name)
        if self._screen is not None:
            self._screen.print_row(row)
        elif not self._as_json:
            write_line(sys.stdout, line_of(row))

    def close(self) -> None:
        """Keep the findings, and print the end of the report."""
        if self._screen is not None:
            self._screen.clear()
        findings = Findings() if self.context is None else self.context.findings
        if self.context is not None and self._is_kept and findings.known():
            findings = self._keep(self.context)
        if self._as_json:
            write_line(sys.stdout, json.dumps(self._json(findings)))
            return
        for one in adjustments(findings):
            self.message(f"a client {one.text}")
        self.message(f"failed: {', '.join(self.failed)}" if self.failed else "all checks passed")

    def _keep(self, context: ProbeContext) -> Findings:
        """Update the profile, and return its findings."""
        try:
            findings, path = update_profile(context.findings, context.target.url, context.key)
        except OSError as error:
            self.add(Row("profile", f"cannot be written: {error.strerror}", "failed"))
            return context.findings
        self.add(Row("profile", str(path)))
        return findings

    def _json(self, findings: Findings) -> dict[str, Any]:
        return {
            "checks": [json_of(row) for row in self._rows],
            "failed": self.failed,
            "cost": 0.0 if self.context is None else round(self.context.allowance.spent, 6),
            "findings": findings.known(),
            "client": [one.text for one in adjustments(findings)],
        }
