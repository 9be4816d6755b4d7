"""The steps of a model at work as operators of MONAI Deploy, to be put together in any application.

    find inputs -> adapt -> classify -> decide -> write results
                                                -> report (DICOM SR)
                                                -> heat maps -> write heat maps (DICOM SC)

This module needs monai-deploy-app-sdk; what the steps do stands in deploy_work, which does not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from monai_brain.errors import MissingExtraError, MonaiBrainError
from monai_brain.integrations.deploy_work import Portion, Work

try:
    from monai.deploy.core import Operator, OperatorSpec
except ImportError as error:
    raise MissingExtraError("monai.deploy", "deploy") from error

log = logging.getLogger(__name__)
Out = TypeVar("Out")


def plainly(step: Callable[..., Out], *given: Any) -> Out:
    """What the step gives. Holoscan prints whatever is raised, and foreign errors may quote a header."""
    try:
        return step(*given)
    except MonaiBrainError:
        raise
    except Exception as error:
        log.debug("%s failed", step.__name__, exc_info=True)
        kind = type(error).__name__
        failure = MonaiBrainError(
            f"The step {step.__name__} failed ({kind}). Run it again with -l DEBUG for the whole story."
        )
        failure.exit_status = 1  # as the command line ends with what nobody foresaw
        raise failure from None


class FindInputsOperator(Operator):
    """The source: hands each model its inputs, a batch at a time.

    Outputs: a port for each model, named as the model is, with portions of inputs.
    """

    def __init__(self, fragment: Any, *args: Any, works: Sequence[Work], **kwargs: Any) -> None:
        """Take the models with their inputs."""
        self._left: dict[str, Iterator[Portion]] = {
            work.predictor.bundle.name: work.portions() for work in works
        }
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """A port a model."""
        for name in self._left:
            spec.output(name)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Hand out one portion to each model that has some left."""
        for name, portions in self._left.items():
            portion = next(portions, None)
            if portion is not None:
                op_output.emit(portion, name)


class _StepOperator(Operator):
    """An operator between two others: what comes in at `input` goes out, changed, at `output`."""

    def __init__(self, fragment: Any, *args: Any, work: Work, **kwargs: Any) -> None:
        """Take the model at work."""
        self.work = work
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """One port in, one out."""
        spec.input("input")
        spec.output("output")


class AdaptSlicesOperator(_StepOperator):
    """Inputs to 2D images as the network takes them: series rule, gates, pixels, preprocessing."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Read one portion."""
        op_output.emit(plainly(self.work.prepare, op_input.receive("input")), "output")


class ClassifyOperator(_StepOperator):
    """Images to logits, by the bundle's network or a TorchScript file."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Ask the network about one portion."""
        op_output.emit(plainly(self.work.classify, op_input.receive("input")), "output")


class DecideOperator(_StepOperator):
    """Logits to answers: probabilities, the most probable class or the threshold's, abstention."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Decide about one portion."""
        op_output.emit(plainly(self.work.decide, op_input.receive("input")), "output")


class ResultWriterOperator(_StepOperator):
    """Writes results.jsonl, predictions.csv and further forms; passes the answers on."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Write one portion."""
        portion = op_input.receive("input")
        plainly(self.work.write, portion)
        op_output.emit(portion, "output")


class HeatMapOperator(_StepOperator):
    """Grad-CAM: pictures for images that are no DICOM; at the end passes on the maps of those that are."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Nothing until the last portion: which slices a report shows is known then."""
        if op_input.receive("input").last:
            plainly(self.work.draw)
            op_output.emit(plainly(self.work.explain), "output")


class SrWriterOperator(Operator):
    """Writes the DICOM reports, once all is answered."""

    def __init__(self, fragment: Any, *args: Any, work: Work, **kwargs: Any) -> None:
        """Take the model at work."""
        self.work = work
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """One port in."""
        spec.input("input")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Nothing until the last portion."""
        if op_input.receive("input").last:
            plainly(self.work.report)


class ScWriterOperator(SrWriterOperator):
    """Writes heat maps as DICOM: Secondary Capture, and Parametric Map."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Write the maps that came."""
        plainly(self.work.write_maps, op_input.receive("input"))
