"""What the links say of themselves as OpenTelemetry metrics."""

from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from hanse.runtime import Runtime
from hanse_federation.link.metrics import LinkMetrics
from tests.integration.hanse_federation.group import Unit, eventually
from tests.integration.hanse_federation.test_quarantine import TICKETS, alarmed, change, lose_tail

Points = dict[tuple[str, str], float]
"""The values by the metric's name and its stream, or unit, or service."""


async def measure(runtime: Runtime) -> Points:
    """Read the metrics of a unit once."""
    reader = InMemoryMetricReader()
    metrics = LinkMetrics(runtime.database, runtime.unit, MeterProvider([reader]).get_meter("tests"))
    await metrics.read()
    data = reader.get_metrics_data()
    points: Points = {}
    for scope in data.resource_metrics[0].scope_metrics if data else []:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                assert isinstance(point, NumberDataPoint)
                about = point.attributes or {}
                subject = about.get("hanse.stream") or about.get("hanse.link.unit") or about.get("hanse.service")
                points[metric.name, str(subject)] = point.value
    return points


async def test_lag_position_and_credit_are_shown_while_the_line_is_cut(munich: Unit) -> None:
    munich.line.cut()
    await munich.open_tickets(7)

    async def down() -> bool:
        return (await measure(munich.runtime))["hanse.link.up", "units/munich"] == 0

    await eventually(down)
    points = await measure(munich.runtime)
    assert points["hanse.link.lag.events", TICKETS] == 7
    assert points["hanse.link.lag.duration", TICKETS] > 0
    assert points["hanse.log.head", TICKETS] == 7
    assert points["hanse.link.credit", "units/munich"] == 0
    assert points["hanse.dead_letters", "ticket"] == 0


async def test_headquarters_shows_each_unit(munich: Unit) -> None:
    await munich.open_tickets(3)
    await munich.caught_up()

    async def known() -> bool:
        points = await measure(munich.hq)
        shown = (points.get(("hanse.link.up", "units/munich")), points.get(("hanse.log.head", TICKETS)))
        return shown == (1, 3) and points["hanse.link.credit", "units/munich"] > 0

    await eventually(known)


async def test_a_quarantine_is_a_metric(munich: Unit) -> None:
    await munich.open_tickets(5)
    await munich.caught_up()
    await munich.stop()
    await lose_tail(munich, 3)
    munich.start()
    await alarmed(munich, TICKETS)
    for runtime in (munich.runtime, munich.hq):
        assert (await measure(runtime))["hanse.log.quarantined", TICKETS] == 1


async def test_dead_letters_are_counted(munich: Unit) -> None:
    await change(
        munich.runtime,
        "INSERT INTO knowledge.dead_letter (event_id, reaction, record, error, tries)"
        " VALUES (gen_random_uuid(), 'knowledge.delivery', '', 'ValueError', 5)",
    )
    assert (await measure(munich.runtime))["hanse.dead_letters", "knowledge"] == 1
