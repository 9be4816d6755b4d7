"""What is put off is looked at in time: when a look is due, at an epoch's end, before writing."""

import types

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from monai_brain.training.failures import NonFiniteError, settle
from monai_brain.training.handlers import RefuseNonFiniteLoss
from monai_brain.training.progress import Progress


def _trained(every, bad, epoch_length, kind="loss"):
    """The steps that were done, and the epochs that ended, when step `bad` had a loss or gradient of NaN."""
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    done = types.SimpleNamespace(steps=0, epochs=0, error=None)

    def step(engine, batch):
        wrong = engine.state.iteration == bad
        loss = torch.tensor(float("nan") if wrong and kind == "loss" else 1.0)
        weight.grad = torch.tensor([1.0, float("inf") if wrong and kind == "gradient" else 1.0])
        engine.state.output = {"loss": loss}
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        done.steps += 1
        return engine.state.output

    engine = Engine(step)
    engine.register_events(*IterationEvents)
    RefuseNonFiniteLoss(optimizer, every).attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: setattr(done, "epochs", done.epochs + 1))
    try:
        engine.run([{"case": [f"c{n}"]} for n in range(epoch_length)], max_epochs=2)
    except NonFiniteError as error:
        done.error = str(error)
    done.engine = engine
    return done


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_on_a_processor_the_bad_step_itself_is_refused(kind):
    done = _trained(None, bad=3, epoch_length=8, kind=kind)
    assert (done.steps, done.epochs) == (2, 0)
    assert "at iteration 3 (epoch 1" in done.error


@pytest.mark.parametrize("kind", ["loss", "gradient"])
@pytest.mark.parametrize(("every", "looked"), [(5, 5), (100, 8)])
def test_put_off_the_first_bad_step_is_named_before_the_epoch_ends(kind, every, looked):
    done = _trained(every, bad=3, epoch_length=8, kind=kind)
    assert (done.steps, done.epochs) == (looked, 0)
    assert "at iteration 3 (epoch 1" in done.error
    assert "c2" in done.error


def test_nothing_is_refused_where_all_is_finite():
    assert _trained(5, bad=0, epoch_length=7).error is None


def test_what_is_put_off_is_looked_at_before_a_stopped_training_writes():
    done = _trained(100, bad=0, epoch_length=3)
    refuse = RefuseNonFiniteLoss(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), 100)
    refuse.attach(done.engine)
    done.engine.state.output, done.engine.state.batch = {"loss": torch.tensor(float("inf"))}, {}
    refuse(done.engine)
    with pytest.raises(NonFiniteError, match="The loss became"):
        settle(done.engine)


def test_what_progress_puts_off_is_counted_before_writing(tmp_path):
    """Three batches of 2, 2 and 1 images with losses 1, 2 and 4; one image of each is told right."""
    progress = Progress(
        tmp_path, Engine(lambda *_: None), torch.optim.SGD([torch.ones(1)], lr=0.1), show=False
    )
    engine = Engine(lambda *_: None)
    engine.state.running = {"epoch": 1, "loss": 0.0, "images": 0, "correct": 0}
    progress._waiting = [
        (2, torch.tensor(1.0), torch.tensor(1)),
        (2, torch.tensor(2.0), torch.tensor(1)),
        (1, torch.tensor(4.0), torch.tensor(1)),
    ]
    progress.attach(engine)
    settle(engine)
    assert engine.state.running == {"epoch": 1, "loss": 10.0, "images": 5, "correct": 3}
    settle(engine)
    assert engine.state.running["images"] == 5
