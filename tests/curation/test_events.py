import asyncio

from curation.events import Bus


def test_listeners_get_messages_until_the_bus_closes() -> None:
    async def listen() -> list[str]:
        bus, received = Bus(), []
        stream = bus.listen()
        received.append(await anext(stream))
        bus.send("run", {"samples": 3})
        received.append(await anext(stream))
        bus.close()
        received += [message async for message in stream]
        return received

    assert asyncio.run(listen()) == ["retry: 2000\n\n", 'event: run\ndata: {"samples": 3}\n\n']


def test_who_does_not_keep_up_loads_everything_again() -> None:
    async def listen() -> tuple[list[str], list[str]]:
        bus = Bus()
        slow, quick = bus.listen(), bus.listen()
        await anext(slow), await anext(quick)
        seen = []
        for number in range(300):
            bus.send("decisions", number)
            seen.append(await anext(quick))
        bus.close()
        return [message async for message in slow], seen

    slow, quick = asyncio.run(listen())
    assert slow == []
    assert len(quick) == 300
    assert all("resync" not in message for message in quick)


def test_after_an_overflow_comes_resync_and_then_what_is_new() -> None:
    async def listen() -> list[str]:
        bus = Bus()
        stream = bus.listen()
        await anext(stream)
        for number in range(258):
            bus.send("decisions", number)
        return [await anext(stream), await anext(stream)]

    assert asyncio.run(listen()) == ["event: resync\ndata: {}\n\n", "event: decisions\ndata: 257\n\n"]
