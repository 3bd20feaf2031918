"""Exporting spans over OTLP with HTTP, from a process that must not import gRPC: that of the reactions.

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
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

TRACES_PATH = "/v1/traces"
"""Where a collector takes spans (the OTLP specification, "OTLP/HTTP Request")."""
EXPORT_TIMEOUT_SECONDS = 2.0
"""For one export: the process may be about to end, and its collector may be away."""

logger = structlog.get_logger(__name__)


class HttpSpanExporter(SpanExporter):
    """Posts spans to a collector."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the collector's, `http://collector:4318`."""
        self._url = endpoint.rstrip("/") + TRACES_PATH

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans once."""
        content = encode_spans(spans).SerializeToString()
        headers = {"Content-Type": "application/x-protobuf"}
        request = Request(self._url, content, headers)  # noqa: S310 - the settings allow http and https only.
        try:
            with urlopen(request, timeout=EXPORT_TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above.
                taken = answer.status == HTTPStatus.OK
        except (URLError, HTTPException, OSError) as error:
            logger.warning("spans could not be exported and are dropped", count=len(spans), problem=str(error))
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE
