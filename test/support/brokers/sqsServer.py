"""moto as SQS: `python sqsServer.py PORT WINDOW_SECONDS`.

SQS hands out nothing of a message group while a message of it is in flight. moto 5.2 keeps that for one poll at a time only: it looks
at the groups when a long poll begins and not again while it waits, nothing keeps two polls apart, a message whose time had run out and
was extended again counts as free, and time goes on during a look: messages whose time runs out in the midst of it free their group for
those behind them. Two polls at once, one of them that of a consumer killed meanwhile, then share the messages of a group. Here each look
is one poll without waiting, one at a time, at one instant, with the groups as they are.
"""

import sys
import threading
import time

import moto.sqs.models as models
from moto.server import main

port, window_seconds = sys.argv[1:]
models.DEDUPLICATION_TIME_IN_SECONDS = int(window_seconds)

Backend = models.SQSBackend
one_at_a_time = threading.RLock()
look_seconds = 0.05
clock = models.unix_time_millis


def guarded(method):
    def call(self, *args, **kwargs):
        with one_at_a_time:
            return method(self, *args, **kwargs)

    return call


for name in ("delete_message", "change_message_visibility", "send_message"):
    setattr(Backend, name, guarded(getattr(Backend, name)))

look = Backend.receive_message


def at_one_instant(queue, find):
    """With the groups that are in flight as they are now, while the clock stands still."""
    instant = clock()
    models.unix_time_millis = lambda: instant
    try:
        queue._pending_messages = {
            message
            for message in queue._messages
            if message.approximate_receive_count > 0 and message.visible_at >= instant
        }
        return find()
    finally:
        models.unix_time_millis = clock


def receive_message(self, queue_name, count, wait_seconds_timeout, *args, **kwargs):
    queue = self.get_queue(queue_name)
    if not queue.fifo_queue:
        return look(self, queue_name, count, wait_seconds_timeout, *args, **kwargs)
    deadline = time.monotonic() + wait_seconds_timeout
    while True:
        with one_at_a_time:
            found = at_one_instant(
                queue, lambda: look(self, queue_name, count, 0, *args, **kwargs)
            )
        if found or time.monotonic() > deadline:
            return found
        time.sleep(look_seconds)


Backend.receive_message = receive_message
main(["-H", "127.0.0.1", "-p", port])
