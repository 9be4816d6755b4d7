"""Ctrl-C and a scheduler's SIGTERM, kept until a training has a moment at which its state is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, NoReturn

TERMINATED = 128 + signal.SIGTERM


class Interruption:
    """The first SIGINT or SIGTERM is noted, the second acts at once.

    A signal in the middle of an optimizer's step would leave half of the weights stepped. Between
    `begin` and `end` it waits, therefore, until the training calls `deliver`.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def begin(self) -> None:
        """Note signals from here on, if this is the thread that Python hands them to."""
        if threading.current_thread() is not threading.main_thread():
            return
        self.signal = None
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)

    def end(self) -> None:
        """Let signals act as they did before."""
        while self._before:
            number, handler = self._before.popitem()
            # None: another language's handler, which Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def deliver(self) -> NoReturn:
        """Act on the noted signal as if it had just come."""
        number = self.signal
        self.end()
        if number == signal.SIGTERM and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            raise SystemExit(TERMINATED)  # so that worker processes and files are closed on the way out
        if number is not None:
            signal.raise_signal(number)
        raise KeyboardInterrupt  # where the handler of before lets the process live

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self.deliver()
        self.signal = signal.Signals(number)
