"""OpenTelemetry: traces, and the provider of metrics.

One trace follows a ticket from the gateway through the log, the link and Temporal.

The current trace travels as a W3C traceparent: in gRPC metadata between processes, in every event of the log, and
from there into reactions, workflows and the other unit. Exporting is off until an OTLP endpoint is configured; the
trace ids are in the events all the same.

Metrics are observed by the parts that know them (`hanse_federation.link.metrics`, `hanse.telling.metrics`,
`hanse.policy.unanswered`). They are exported every few seconds where an endpoint is configured; without one nothing is
counted.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = "traceparent"

METRIC_INTERVAL_SECONDS = 5.0
"""Between two exports of metrics: an alarm is to show within ten seconds."""

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("hanse")


def start_telemetry(unit: str, role: str, exporter: SpanExporter | None) -> TracerProvider:
    """Install the tracer provider of this process. With no exporter, spans get ids and go nowhere."""
    provider = TracerProvider(resource=_resource(unit, role))
    if exporter:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def grpc_exporter(otlp_endpoint: str | None) -> SpanExporter | None:
    """Return what exports spans to an OTLP endpoint over gRPC; None where there is no endpoint."""
    if not otlp_endpoint:
        return None
    # Imported here: it brings gRPC, which must not enter nameko's process. That one has `hanse.otlp_http`.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter(endpoint=otlp_endpoint, insecure=True)


def start_metrics(unit: str, role: str, exporter: MetricExporter) -> MeterProvider:
    """Return a provider of metrics that exports; shut it down when the process ends."""
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=METRIC_INTERVAL_SECONDS * 1_000)
    return MeterProvider([reader], _resource(unit, role))


def grpc_metric_exporter(otlp_endpoint: str) -> MetricExporter:
    """Return what exports metrics to an OTLP endpoint over gRPC."""
    # Imported here for the reason that is given above.
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

    return OTLPMetricExporter(endpoint=otlp_endpoint, insecure=True)


def _resource(unit: str, role: str) -> Resource:
    return Resource.create({"service.name": f"hanse-{role}", "service.namespace": "hanse", "hanse.unit": unit})


def current_traceparent() -> str:
    """Return the W3C traceparent of the current span, or an empty string outside of any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(TRACEPARENT, "")


@contextmanager
def span(name: str, traceparent: str = "", kind: SpanKind = SpanKind.INTERNAL, **attributes: str) -> Iterator[None]:
    """Run a block in a span, as a child of `traceparent`, or of the current span where it is empty.

    Where the block raises, the span says the type of the error: the words of an error may quote a customer's.
    """
    parent = _propagator.extract({TRACEPARENT: traceparent}) if traceparent else otel_context.get_current()
    with _tracer.start_as_current_span(
        name, context=parent, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except Exception as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
