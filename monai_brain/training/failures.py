"""How a training fails: its own error, how an engine hands an error on, and when each is looked for."""

from __future__ import annotations

from collections.abc import Callable

from ignite.engine import Engine, EventEnum, Events

from monai_brain.errors import MonaiBrainError


class NonFiniteError(MonaiBrainError):
    """The loss, the gradients or the weights of a training became infinite or no number."""


class WritingEvents(EventEnum):
    """What a trainer fires beside Ignite's events."""

    STOPPED_BETWEEN_STEPS = "stopped_between_steps"


def before_writing(engine: Engine, look: Callable[[Engine], None]) -> None:
    """Let `look` see to what it has put off, before the state of an unfinished epoch is written."""
    engine.register_events(*WritingEvents)
    engine.add_event_handler(WritingEvents.STOPPED_BETWEEN_STEPS, look)


def settle(engine: Engine) -> None:
    """Have all that is put off seen to."""
    engine.register_events(*WritingEvents)
    engine.fire_event(WritingEvents.STOPPED_BETWEEN_STEPS)


def hand_on(engine: Engine) -> None:
    """Let the engine raise the error that stopped it, after all that looks at it has been called.

    Ignite keeps an error to itself as soon as one handler looks at it, and a handler that raises it
    hides it from those behind. Call this again after each further handler of EXCEPTION_RAISED.
    """
    if engine.has_event_handler(_raise, Events.EXCEPTION_RAISED):
        engine.remove_event_handler(_raise, Events.EXCEPTION_RAISED)
    engine.add_event_handler(Events.EXCEPTION_RAISED, _raise)


def _raise(engine: Engine, error: BaseException) -> None:
    raise error
