"""The output of ``upscale --dry-run``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..pictures import effective_scale, result_size
from .errors import one_line
from .exit_status import FAILED, SUCCESS
from .output import Output
from .plan import Plan, Planned
from .summary import ImageReport, dollars, images


def show_plan(plan: Plan, out: Path, output: Output, as_json: bool) -> int:
    """Print what a run would do, and return the exit status."""
    for one in plan.todo:
        output.result(json.dumps(_object(one, plan, out)) if as_json else _line(one, plan, out))
    for image, error in plan.unusable:
        output.message(ImageReport(str(image.source), error=error).line(), style="red")
    for line in plan.warnings():
        output.message(line)
    for line in plan.conflicts(redo_outdated=True).lines("would overwrite {names} ({reason})"):
        output.message(line)
    output.message(_summary(plan))
    return FAILED if plan.unusable or output.incomplete else SUCCESS


def _line(one: Planned, plan: Plan, out: Path) -> str:
    source, output = one_line(one.image.source), one_line(out / one.image.output)
    if one.size is None:
        return f"{source} -> {output}"
    result = result_size(one.size, plan.factor)
    scale = effective_scale(one.size, result)
    less = "" if scale == plan.factor else f", {scale:.2f} times instead of {plan.factor}"
    return f"{source} ({_pixels(one.size)}) -> {output} ({_pixels(result)}{less})"


def _object(one: Planned, plan: Plan, out: Path) -> dict[str, Any]:
    result = None if one.size is None else result_size(one.size, plan.factor)
    return {
        "source": str(one.image.source),
        "output": str(out / one.image.output),
        "input_size": one.size,
        "output_size": result,
        "effective_scale": one.size and result and effective_scale(one.size, result),
        "overwrites": one.state.reason or None,
        "estimated_cost": plan.price,
    }


def _summary(plan: Plan) -> str:
    source = (
        "cost of the last result here" if plan.price_known else "example in Runware's documents"
    )
    parts = [f"would upscale {images(len(plan.todo))} for about {dollars(plan.cost)}"]
    if plan.todo:
        parts[0] += f" ({dollars(plan.price)} each, the {source})"
    if plan.kept:
        parts.append(f"{plan.kept} already done")
    if plan.unusable:
        parts.append(f"{len(plan.unusable)} cannot be upscaled")
    return "; ".join([*parts, "nothing was sent"])


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
