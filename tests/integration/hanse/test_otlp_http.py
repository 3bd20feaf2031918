"""Spans leave a process that eventlet has patched, and no gRPC comes into it."""

from __future__ import annotations

import asyncio
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExportResult

from hanse.local.ports import LOOPBACK, free_port
from hanse.otlp_http import HttpSpanExporter
from tests.http_collector import collecting_http

PATCHED = """
import eventlet
eventlet.monkey_patch()
import sys
from hanse.otlp_http import HttpSpanExporter
from hanse.telemetry import span, start_telemetry
provider = start_telemetry("units/munich", "react", HttpSpanExporter(sys.argv[1]))
with span("receive knowledge.delivery"):
    eventlet.sleep(0)
provider.shutdown()
print([name for name in ("grpc", "temporalio") if name in sys.modules])
"""


async def test_the_spans_of_a_patched_process_arrive_and_no_grpc_comes_into_it() -> None:
    with collecting_http() as (taken, endpoint):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PATCHED, endpoint), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
    assert (process.returncode, printed.split()) == (0, [b"[]"])
    [resource_spans] = ExportTraceServiceRequest.FromString(b"".join(taken)).resource_spans
    attributes = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
    assert (attributes["hanse.unit"], attributes["service.name"]) == ("units/munich", "hanse-react")
    assert [span.name for scope in resource_spans.scope_spans for span in scope.spans] == ["receive knowledge.delivery"]


def test_a_collector_that_is_away_costs_the_spans_and_raises_nothing() -> None:
    assert HttpSpanExporter(f"http://{LOOPBACK}:{free_port()}").export([]) is SpanExportResult.FAILURE
