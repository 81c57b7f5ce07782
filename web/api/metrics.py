"""``/metrics``: where Prometheus itself asks how every backup stands, with a token of a viewer."""

from __future__ import annotations

from fastapi import APIRouter, Response

from web.security.access import Viewer
from web.services import ServicesOf

router = APIRouter(tags=["metrics"])


class MetricsResponse(Response):
    """The text format, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

    media_type = "text/plain; version=0.0.4"


@router.get("/metrics", response_class=MetricsResponse)
def metrics(who: Viewer, services: ServicesOf) -> MetricsResponse:
    """How every backup stands, in the text format of Prometheus."""
    return MetricsResponse(services.metrics.text())
