"""The application that `monai-brain deploy` writes: each of its models, from inputs to reports."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_brain.errors import ConfigurationError, MissingExtraError, MonaiBrainError
from monai_brain.integrations import deploy_models
from monai_brain.integrations.deploy_job import Job
from monai_brain.integrations.deploy_operators import (
    AdaptSlicesOperator,
    ClassifyOperator,
    DecideOperator,
    FindInputsOperator,
    HeatMapOperator,
    ResultWriterOperator,
    ScWriterOperator,
    SrWriterOperator,
)
from monai_brain.integrations.deploy_settings import settings

try:
    from holoscan.logger import LogLevel, set_log_level
    from monai.deploy.conditions import CountCondition
    from monai.deploy.core import AppContext, Application, parse_args
    from monai.deploy.core.arg_parser import set_up_logging
except ImportError as error:
    raise MissingExtraError("monai.deploy", "deploy") from error

CONFIGURED = "HOLOSCAN_CONFIG_PATH"


class ClassifierApplication(Application):
    """One chain of operators for each model of a job."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """An application without a job yet."""
        self.job: Job | None = None
        super().__init__(*args, **kwargs)

    def compose(self) -> None:
        """Put the operators together.

        Raises:
            ConfigurationError: There is no job.
        """
        if self.job is None:
            raise ConfigurationError("The application has no job. Set its attribute job before run().")
        works = self.job.works
        ticks = max(sum(1 for _ in work.portions()) for work in works.values())
        source = FindInputsOperator(
            self, CountCondition(self, ticks), works=list(works.values()), name="find_inputs"
        )
        for name, work in works.items():
            steps = [
                step(self, work=work, name=f"{name}_{what}")
                for what, step in (
                    ("adapt", AdaptSlicesOperator),
                    ("classify", ClassifyOperator),
                    ("decide", DecideOperator),
                    ("write", ResultWriterOperator),
                )
            ]
            self.add_flow(source, steps[0], {(name, "input")})
            for before, after in itertools.pairwise(steps):
                self.add_flow(before, after, {("output", "input")})
            reports = SrWriterOperator(self, work=work, name=f"{name}_report")
            maps = HeatMapOperator(self, work=work, name=f"{name}_explain")
            self.add_flow(steps[-1], reports, {("output", "input")})
            self.add_flow(steps[-1], maps, {("output", "input")})
            written = ScWriterOperator(self, work=work, name=f"{name}_maps")
            self.add_flow(maps, written, {("output", "input")})


def main(config: str | os.PathLike[str], argv: Sequence[str] | None = None) -> int:
    """Run the application once; gives the exit status, as the command line's commands do.

    Args:
        config: The application's app.yaml; HOLOSCAN_CONFIG_PATH goes before it.
        argv: The program's name and -i, -o, -m; by default sys.argv. What is not given is taken from
            HOLOSCAN_INPUT_PATH, HOLOSCAN_OUTPUT_PATH and HOLOSCAN_MODEL_PATH.
    """
    arguments = list(sys.argv if argv is None else argv)
    parsed = parse_args(arguments)
    # Below WARN the SDK's own lines repeat the paths that it was given, which may name a patient.
    set_up_logging(parsed.log_level or "WARN")
    if "HOLOSCAN_LOG_LEVEL" not in os.environ:
        set_log_level(LogLevel.WARN)
    try:
        return _run(
            AppContext({key: value for key, value in vars(parsed).items() if value}), config, arguments
        )
    except MonaiBrainError as error:
        _tell(" ".join(str(error).split()))
        return error.exit_status


def _run(context: AppContext, config: str | os.PathLike[str], arguments: list[str]) -> int:
    application = ClassifierApplication(arguments[:1])
    application.config(os.environ.get(CONFIGURED) or str(config))
    chosen = settings(application.kwargs("monai_brain"))
    predictors = deploy_models.ready(context.model_path, trusted=chosen.trusted.split(","))
    application.job = Job(predictors, Path(context.input_path), Path(context.output_path), chosen, _tell)
    application.run()
    return application.job.finish()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
