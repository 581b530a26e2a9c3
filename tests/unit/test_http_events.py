"""Server-sent events: the feed's queues, and reading a stream from anyone."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, strategies as st

from encmempool.errors import Malformed
from encmempool.network.events import Event, EventFeed, EventReader, SlowReader


def event(number: int) -> Event:
    return Event("height", {"height": str(number)}, number)


def test_subscriber_gets_what_it_missed_and_then_all_from_its_subscription_on():
    async def scenario() -> list[int]:
        feed = EventFeed()
        feed.publish(event(1))
        subscription = feed.subscribe(missed=[event(2), event(3)])
        for number in (3, 4, 5):  # 3 was missed and comes again
            feed.publish(event(number))
        return [(await anext(subscription)).id for _ in range(4)]

    assert asyncio.run(scenario()) == [2, 3, 4, 5]


def test_waiting_subscriber_is_woken():
    async def scenario() -> Event:
        feed = EventFeed()
        subscription = feed.subscribe()
        following = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0)
        feed.publish(event(9))
        return await asyncio.wait_for(following, 1)

    assert asyncio.run(scenario()) == event(9)


def test_subscriber_with_a_full_queue_is_dropped_and_the_others_go_on():
    async def scenario() -> None:
        feed = EventFeed(queue=2)
        slow, quick = feed.subscribe(), feed.subscribe()
        for number in range(3):
            feed.publish(event(number))
            assert (await anext(quick)).id == number
        assert feed.subscribers == 1
        with pytest.raises(SlowReader):
            await anext(slow)

    asyncio.run(scenario())


def test_closed_subscription_ends_and_leaves_the_feed():
    async def scenario() -> None:
        feed = EventFeed()
        subscription = feed.subscribe()
        following = asyncio.ensure_future(anext(subscription, None))
        await asyncio.sleep(0)
        await subscription.aclose()
        assert await asyncio.wait_for(following, 1) is None
        assert feed.subscribers == 0

    asyncio.run(scenario())


@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_reader_finds_the_same_events_however_the_stream_is_cut(cuts):
    stream = b":\n\n" + event(1).text + b": comment\n\n" + event(2).text + b"id: 3"
    reader = EventReader()
    ends = [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    found = []
    for start, end in zip([0, *ends], ends, strict=False):
        found += reader.feed(stream[start:end])
    assert found == [event(1), event(2)]


@pytest.mark.parametrize(
    "stream",
    [
        b"data: {}\n\n",
        b"id: 1\nevent: x\n\n",
        b"id: 1\ndata: {}\n\n",
        b"id: -1\nevent: x\ndata: {}\n\n",
        b"id: 1" + b"0" * 5000 + b"\nevent: x\ndata: {}\n\n",
        b"id: 1\nevent: x\ndata: []\n\n",
        b"id: 1\nevent: x\ndata: {\n\n",
        b"id: 1\nevent: \xff\ndata: {}\n\n",
        b"id: 1\nevent: x\ndata: " + b"x" * 300_000,
    ],
)
def test_reader_refuses_what_no_node_sends(stream):
    with pytest.raises(Malformed):
        list(EventReader().feed(stream))
