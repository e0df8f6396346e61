"""What waits, what is dropped and what wakes up."""

from __future__ import annotations

import threading
import time

from briges.runtime.pipelines.channel import Channel


def test_items_come_in_order_as_many_as_are_wanted_and_the_rest_at_the_end() -> None:
    channel: Channel[int] = Channel(5)
    assert all(channel.put(item) for item in range(5))
    assert channel.take(2) == [0, 1]
    channel.close()
    assert channel.take(9) == [2, 3, 4]
    assert channel.take() == []
    assert channel.dropped == 0


def test_a_full_channel_makes_the_putter_wait_until_something_is_taken() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(0)
    putter = threading.Thread(target=channel.put, args=(1,))
    putter.start()
    putter.join(0.05)
    assert putter.is_alive()
    assert channel.take() == [0]
    putter.join(5)
    assert not putter.is_alive()
    assert channel.take() == [1]


def test_the_latest_takes_the_place_of_what_was_not_taken_and_is_counted() -> None:
    channel: Channel[int] = Channel(1, latest=True)
    assert all(channel.put(item) for item in range(5))
    assert channel.take() == [4]
    assert channel.dropped == 4


def test_cancelling_wakes_a_waiting_putter_which_learns_of_it() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(0)
    answers: list[bool] = []
    putter = threading.Thread(target=lambda: answers.append(channel.put(1)))
    putter.start()
    putter.join(0.02)
    channel.cancel()
    putter.join(5)
    assert answers == [False]
    assert channel.take() == []


def test_a_taker_of_an_empty_channel_sees_that_the_event_was_set() -> None:
    channel: Channel[int] = Channel(1)
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    started_s = time.perf_counter()
    assert channel.take(1, stop) == []
    assert time.perf_counter() - started_s < 5
