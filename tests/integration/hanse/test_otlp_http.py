"""Spans and metrics leave a process that eventlet has patched, and no gRPC comes into it."""

from __future__ import annotations

import asyncio
import sys

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint
from opentelemetry.sdk.trace.export import SpanExportResult

from hanse.local.ports import LOOPBACK, free_port
from hanse.otlp_http import METRICS_PATH, TRACES_PATH, HttpSpanExporter
from tests.http_collector import collecting_http

PATCHED = """
import eventlet
eventlet.monkey_patch()
import sys
from hanse.config import Settings
from hanse.policy import ConditionFailed
from hanse.policy.unanswered import Noted
from hanse.telemetry import span
from hanse.telling.metrics import Outcome, dealt_with, try_failed
from hanse_services.react import export
providers = export(Settings.model_construct(unit="units/munich", otlp_http_endpoint=sys.argv[1]))
with span("receive knowledge.delivery"):
    eventlet.sleep(0)
try_failed("knowledge.delivery", ValueError("Mrs Li of room 4"))
dealt_with("knowledge.delivery", Outcome.APPLIED, 0.25)
Noted("ticket", 3, 0)(ConditionFailed("no number", path="targets[0].when", problem="Mrs Li of room 4"))
for provider in providers:
    provider.shutdown()
print([name for name in ("grpc", "temporalio") if name in sys.modules])
"""


@pytest.fixture(scope="module")
async def exported() -> dict[str, bytes]:
    """What the reactions' process exports of one message, by path."""
    with collecting_http() as (taken, endpoint):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PATCHED, endpoint), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
    assert (process.returncode, printed.splitlines()[-1:]) == (0, [b"[]"])
    return taken


def test_the_spans_of_a_patched_process_arrive_and_no_grpc_comes_into_it(exported: dict[str, bytes]) -> None:
    [resource_spans] = ExportTraceServiceRequest.FromString(exported[TRACES_PATH]).resource_spans
    attributes = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
    assert (attributes["hanse.unit"], attributes["service.name"]) == ("units/munich", "hanse-react")
    assert [span.name for scope in resource_spans.scope_spans for span in scope.spans] == ["receive knowledge.delivery"]


def test_the_metrics_of_the_reactions_arrive(exported: dict[str, bytes]) -> None:
    [resource_metrics] = ExportMetricsServiceRequest.FromString(exported[METRICS_PATH]).resource_metrics
    found = {metric.name: metric for scope in resource_metrics.scope_metrics for metric in scope.metrics}
    [messages] = found["hanse.reactions.messages"].sum.data_points
    assert (messages.as_int, said(messages)) == (
        1,
        {"hanse.reaction": "knowledge.delivery", "hanse.outcome": "applied"},
    )
    [duration] = found["hanse.reactions.duration"].histogram.data_points
    assert (duration.count, duration.sum) == (1, 0.25)


def test_a_condition_without_an_answer_is_counted_by_its_place(exported: dict[str, bytes]) -> None:
    [resource_metrics] = ExportMetricsServiceRequest.FromString(exported[METRICS_PATH]).resource_metrics
    found = {metric.name: metric for scope in resource_metrics.scope_metrics for metric in scope.metrics}
    [unanswered] = found["hanse.policy.unanswered"].sum.data_points
    assert (unanswered.as_int, said(unanswered)["hanse.condition"]) == (1, "targets[0].when")


def test_of_an_error_the_metrics_say_its_type_only(exported: dict[str, bytes]) -> None:
    [resource_metrics] = ExportMetricsServiceRequest.FromString(exported[METRICS_PATH]).resource_metrics
    found = {metric.name: metric for scope in resource_metrics.scope_metrics for metric in scope.metrics}
    [tries] = found["hanse.reactions.failed_tries"].sum.data_points
    assert said(tries) == {"hanse.reaction": "knowledge.delivery", "error.type": "ValueError"}
    assert b"Mrs Li" not in exported[METRICS_PATH]


def said(point: NumberDataPoint) -> dict[str, str]:
    return {each.key: each.value.string_value for each in point.attributes}


def test_a_collector_that_is_away_costs_the_spans_and_raises_nothing() -> None:
    assert HttpSpanExporter(f"http://{LOOPBACK}:{free_port()}").export([]) is SpanExportResult.FAILURE
