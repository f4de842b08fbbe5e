"""``--max-cost``: the run stops before it costs more."""

from __future__ import annotations

import pytest

from runware_ws.emulator import Emulator
from tests.cli.conftest import make_images, run

pytestmark = pytest.mark.usefixtures("folder")


def test_a_run_stops_before_it_costs_more_and_its_results_are_saved(service: Emulator) -> None:
    make_images("abcdef")
    done = run("upscale", "in", "--max-cost", "0.004", "--json")
    assert done.status == 1
    assert sum(service.executions.values()) == 3
    assert len([one for one in done.objects if one["output"]]) == 3
    assert "warning: 6 images cost about $0.0078; the run stops before --max-cost" in done.stderr
    assert "3 images upscaled" in done.stderr
    assert "stopped: --max-cost is reached: $0.0039 spent\n" in done.stderr
    again = run("upscale", "in", "--max-cost", "0.004", "--skip-existing")
    assert again.status == 0
    assert sum(service.executions.values()) == 6


def test_a_run_that_costs_less_is_not_stopped(service: Emulator) -> None:
    make_images("abc")
    done = run("upscale", "in", "--max-cost", "0.0039")
    assert done.status == 0
    assert "--max-cost" not in done.stderr
    assert sum(service.executions.values()) == 3


def test_a_run_that_cannot_pay_for_one_image_sends_nothing(service: Emulator) -> None:
    make_images("abc")
    done = run("upscale", "in", "--max-cost", "0.001")
    assert done.status == 1
    assert "stopped: --max-cost is reached: $0.0000 spent\n" in done.stderr
    assert not service.executions


@pytest.mark.usefixtures("service")
def test_an_account_without_credit_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.cli.conftest import set_service

    with Emulator(credit=0.002) as poor:
        set_service(poor, monkeypatch)
        make_images("abcdefgh")
        done = run("upscale", "in", "--max-in-flight", "1")
        assert done.status == 1
        assert "stopped: the account has not enough credit\n" in done.stderr
        assert done.stderr.count("failed: ") <= 2
        assert " not started" in done.stderr
