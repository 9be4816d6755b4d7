"""How a training fails: its own error, and how an engine hands an error on."""

from __future__ import annotations

from ignite.engine import Engine, Events

from monai_brain.errors import MonaiBrainError


class NonFiniteError(MonaiBrainError):
    """The loss, the gradients or the weights of a training became infinite or no number."""


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
