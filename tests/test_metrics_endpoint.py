"""``/metrics`` of the dashboard: who may ask, and that the answer is that of now."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace

import pytest

from accounts import Role
from model import Run, RunStatus
from tests.support.dashboard import Dashboard, dashboard, installation
from tests.support.faulty_run import wait_until
from tests.support.holdfast import BACKUP_ID
from tests.support.metrics import Metrics
from utils import utc_now

__all__ = ["dashboard", "installation"]


def test_nobody_without_a_token_is_answered(dashboard: Dashboard) -> None:
    assert dashboard.anonymous().get("/metrics", headers={"Authorization": "Bearer hf_wrong"}).status_code == 401
    assert dashboard.anonymous().get("/metrics").status_code in (303, 401)


def test_a_viewers_token_is_enough_and_the_answer_follows_the_runs(dashboard: Dashboard) -> None:
    program = dashboard.program(Role.VIEWER)
    answer = program.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert Metrics(answer.text).get("holdfast_backup_status", backup=BACKUP_ID, status="never") == 1

    def status_is(status: str) -> bool:
        return Metrics(program.get("/metrics").text).get("holdfast_backup_status", status=status) == 1

    run = Run(uuid.uuid4().hex, BACKUP_ID, utc_now())
    dashboard.catalog.begin_run(run)
    wait_until(lambda: status_is("running"))
    dashboard.catalog.finish_run(replace(run, ended=utc_now(), status=RunStatus.GOOD))
    wait_until(lambda: status_is("good"))


@pytest.mark.parametrize("broken", ["PROJECTS: [", "PROJECTS: 3\n"])
def test_a_broken_configuration_is_told_with_what_was_known_before(dashboard: Dashboard, broken: str) -> None:
    program = dashboard.program(Role.VIEWER)
    assert Metrics(program.get("/metrics").text).get("holdfast_config_valid") == 1
    dashboard.holdfast.config.write_text(broken)
    while (found := Metrics(program.get("/metrics").text)).get("holdfast_config_valid") == 1:
        time.sleep(0.05)
    assert found.get("holdfast_backup_enabled", backup=BACKUP_ID) == 1
