"""Spans say what happened, and quote nobody."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hanse import telemetry


def test_a_span_that_failed_says_the_type_of_the_error_only(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("hanse"))
    with pytest.raises(ValueError, match="Frau Chen"), telemetry.span("open"):
        raise ValueError("Frau Chen")
    [span] = exporter.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "Frau Chen" not in span.to_json()
