"""Telling inside a unit: what has happened, carried from the log to whoever wants to react, in order, and never lost.

    log ──relay──> broker: a queue for each reaction ──reacting──> receiving ──> inbox ──> effect, in one transaction
                                                                   └──after five tries──> dead letters

The sending side is asyncio: `relay` follows the unit's logs and moves its cursor after the broker's confirm
(`publishing`); `stale_queues` empties queues whose reaction is no more into their heirs. The hearing side is blocking,
in the process of nameko's reactions: `reacting` is what a `reactions.py` is made of, `receiving` decides between effect
and dead letter, and `inbox` applies a fact once. `names` is what both sides know: exchanges, queues and routing
keys. `metrics` counts what became of messages.

| What fails | What follows |
|---|---|
| the broker | the relay waits, at its place in the log |
| a reaction's process | the message comes again; the inbox knows what was applied |
| an effect | five tries, then a dead letter; later facts about the same ticket are held behind it (`dead_letters`) |
| headquarters, over what a unit told | its dead letters too: `hanse_federation.headquarters.setting_apart` keeps them |
| kombu's Redis transport, when killed at the wrong moment | nothing: `valkey` takes a message only once it is done |
"""
