"""The description of the API (OpenAPI 3.1): it is of this code, and whatever is sent after it is answered properly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from accounts import Role
from tests.support.dashboard import Client, Dashboard, new_installation, running_dashboard
from tests.support.product_code import ROOT
from utils import format_timestamp
from web.application import openapi_document

DOCUMENT = openapi_document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [
    pytest.param(path, method, id=f"{method.upper()} {path}")
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    # A stream of events has no end, and a test would wait for it.
    if "text/event-stream" not in operation["responses"].get("200", {}).get("content", {})
]
CHECKS = {
    GenerationMode.POSITIVE: [not_a_server_error, content_type_conformance, response_schema_conformance],
    # What is no HTTP is answered by the server, in words of its own.
    GenerationMode.NEGATIVE: [not_a_server_error],
}
QUICKLY = settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One with a run and a copy of it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        installation = new_installation(tmp_path_factory.mktemp("dashboard"), monkeypatch)
        installation.back_up()
        with running_dashboard(installation) as dashboard:
            yield dashboard


@pytest.fixture(scope="module")
def client(dashboard: Dashboard) -> Client:
    return dashboard.program(Role.OPERATOR)


@pytest.fixture(scope="module")
def known(dashboard: Dashboard) -> dict[str, str]:
    """Parameters in paths that there is something for."""
    (run,) = dashboard.catalog.runs("shop/files", 1)
    return {
        "project": "shop",
        "name": "files",
        "run_id": run.id,
        "timestamp": format_timestamp(run.started),
        "day": run.started.date().isoformat(),
    }


def test_the_description_in_the_docs_is_of_this_code() -> None:
    written = (ROOT / "docs" / "openapi.json").read_text()
    assert written == json.dumps(DOCUMENT, indent=2) + "\n", (
        "run: python -c 'import json; from web.application import openapi_document as made; "
        "print(json.dumps(made(), indent=2))' > docs/openapi.json"
    )


def test_the_dashboard_tells_the_same(dashboard: Dashboard) -> None:
    assert dashboard.program(Role.VIEWER).get("/api/v1/openapi.json").json() == DOCUMENT


def test_every_operation_and_every_parameter_is_explained() -> None:
    unexplained = []
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            if not operation.get("description"):
                unexplained.append(f"{method} {path}")
    assert unexplained == []


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_is_answered_with_an_error_of_ours(
    client: Client, known: dict[str, str], path: str, method: str, mode: GenerationMode
) -> None:
    operation = SCHEMA[path][method.upper()]

    @given(case=operation.as_strategy(generation_mode=mode), is_known=st.booleans())
    @QUICKLY
    def ask(case: Any, is_known: bool) -> None:
        if is_known and method == "get":  # what acts is not let loose on what there is
            case.path_parameters = {name: known.get(name, value) for name, value in case.path_parameters.items()}
        case.call_and_validate(
            base_url=client.base, session=client, checks=CHECKS[mode], allow_redirects=False, timeout=30
        )

    ask()
