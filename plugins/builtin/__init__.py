"""The readers, writers and commands that come with monai_brain, offered as any plugin offers its own."""

import monai_brain as mb


@mb.hookimpl
def register_datasets(register) -> None:  # type: ignore[no-untyped-def]
    register("folders", "monai_brain.data.folders:read", help="one folder a class")
    register("manifest", "monai_brain.data.manifest:read", help="a CSV with file, label, patient_id, group")


@mb.hookimpl
def register_writers(register) -> None:  # type: ignore[no-untyped-def]
    register("csv", "monai_brain.inference.writers:csv", help="predictions.csv, the form that evaluate reads")
    register(
        "jsonl", "monai_brain.inference.writers:jsonl", help="results.jsonl, one result or failure a line"
    )


@mb.hookimpl
def register_commands(cli) -> None:  # type: ignore[no-untyped-def]
    cli.add(
        "doctor", "monai_brain.cli.doctor:run", help="what works on this machine, and what does not and why"
    )
