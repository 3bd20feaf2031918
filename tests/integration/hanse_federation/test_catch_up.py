"""Everything arrives once, in order, whatever happens to the line."""

from tests.integration.hanse_federation.group import QUICK, Group, Unit


async def test_what_a_unit_tells_reaches_headquarters(munich: Unit) -> None:
    await munich.open_tickets(3)
    await munich.caught_up()
    assert await munich.taken() == await munich.sent()
    assert len(await munich.taken()) == 3


async def test_a_unit_that_was_cut_off_catches_up_in_order(munich: Unit) -> None:
    await munich.open_tickets(5)
    munich.line.cut()
    for number in range(20):
        await munich.open_tickets(100, first=100 + 100 * number)
    munich.line.heal()
    await munich.caught_up()
    assert await munich.taken() == await munich.sent()
    assert len(await munich.taken()) == 2005


async def test_a_line_that_swallows_bytes_is_noticed_and_dialled_anew(munich: Unit) -> None:
    munich.line.cut(half_open=True)
    await munich.open_tickets(10)
    munich.line.heal()
    await munich.caught_up()
    assert len(await munich.taken()) == 10


async def test_a_backlog_from_before_the_first_contact_arrives(group: Group) -> None:
    munich = await group.unit("units/munich", agent=False)
    await munich.open_tickets(3_000)
    munich.start()
    await munich.caught_up()
    assert await munich.taken() == await munich.sent()


async def test_a_backlog_gets_over_a_line_that_is_too_slow_for_a_full_batch(group: Group) -> None:
    munich = await group.unit("units/munich", agent=False)
    await munich.open_tickets(1_000)
    munich.line.bytes_per_second = 60_000
    size_bytes = sum(len(record.event) for record in await munich.sent())
    assert size_bytes > QUICK.silence_seconds * munich.line.bytes_per_second
    munich.start()
    await munich.caught_up()
