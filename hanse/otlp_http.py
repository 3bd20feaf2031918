"""Exporting spans and metrics over OTLP with HTTP, from a process that must not import gRPC: that of the reactions.

OpenTelemetry's own HTTP exporter sends with `requests`; this one needs nothing but the standard library, which eventlet
knows to patch, so an export waits like any other green thread. What a collector does not take is dropped, as everywhere
in telemetry: it is said in the log, and nobody waits for it.
"""

from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPException
from urllib.error import URLError
from urllib.request import Request, urlopen

import structlog
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

TRACES_PATH, METRICS_PATH = "/v1/traces", "/v1/metrics"
"""Where a collector takes spans and metrics (the OTLP specification, "OTLP/HTTP Request")."""
EXPORT_TIMEOUT_SECONDS = 2.0
"""For one export: the process may be about to end, and its collector may be away."""
EXPORT_TIMEOUT_MS = EXPORT_TIMEOUT_SECONDS * 1_000

logger = structlog.get_logger(__name__)


class HttpSpanExporter(SpanExporter):
    """Posts spans to a collector."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the collector's, `http://collector:4318`."""
        self._url = endpoint.rstrip("/") + TRACES_PATH

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans once."""
        taken = _post(self._url, encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE


class HttpMetricExporter(MetricExporter):
    """Posts metrics to a collector."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the collector's, `http://collector:4318`."""
        super().__init__()
        self._url = endpoint.rstrip("/") + METRICS_PATH

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = EXPORT_TIMEOUT_MS, **_options: object
    ) -> MetricExportResult:
        """Send metrics once; the next export says how far they have come by then."""
        taken = _post(self._url, encode_metrics(metrics_data).SerializeToString())
        return MetricExportResult.SUCCESS if taken else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = EXPORT_TIMEOUT_MS) -> bool:
        """Return at once: nothing is held back."""
        return True

    def shutdown(self, timeout_millis: float = EXPORT_TIMEOUT_MS, **_options: object) -> None:
        """Do nothing: nothing is open between two exports."""


def _post(url: str, content: bytes) -> bool:
    """Send an export, and return whether the collector has taken it."""
    headers = {"Content-Type": "application/x-protobuf"}
    request = Request(url, content, headers)  # noqa: S310 - the settings allow http and https only.
    try:
        with urlopen(request, timeout=EXPORT_TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above.
            return bool(answer.status == HTTPStatus.OK)
    except (URLError, HTTPException, OSError) as error:
        logger.warning("an export to the collector failed and is dropped", url=url, problem=str(error))
        return False
