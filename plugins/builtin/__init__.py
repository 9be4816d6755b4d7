"""The readers, writers, exporters and commands of monai_brain, offered as any plugin offers its own."""

import monai_brain as mb


@mb.hookimpl
def register_datasets(register) -> None:  # type: ignore[no-untyped-def]
    register("folders", "monai_brain.data.folders:read", help="one folder a class")
    register(
        "manifest",
        "monai_brain.data.manifest:read",
        help="a CSV or Parquet table with file, label, patient_id, group",
    )
    register("figshare", "monai_brain.data.figshare:read", help="the brain tumours of figshare 1512427, .mat")
    register(
        "dicom",
        "monai_brain.data.dicom_sets:read",
        help="a folder or DICOMDIR, labels by folder or by table",
    )
    register("mias", "monai_brain.data.mammograms:read_mias", help="mini-MIAS with its Info.txt")
    register(
        "cbis_ddsm",
        "monai_brain.data.mammograms:read_cbis_ddsm",
        help="CBIS-DDSM's DICOM files and case descriptions",
    )


@mb.hookimpl
def register_writers(register) -> None:  # type: ignore[no-untyped-def]
    register("csv", "monai_brain.inference.writers:Csv", help="predictions.csv, the form that evaluate reads")
    register(
        "jsonl", "monai_brain.inference.writers:JsonLines", help="results.jsonl, one result or failure a line"
    )


@mb.hookimpl
def register_exporters(register) -> None:  # type: ignore[no-untyped-def]
    torch, onnx = "monai_brain.inference.torch_formats", "monai_brain.inference.onnx_formats"
    register("state_dict", f"{torch}:to_state_dict", help="model.pt, the flat weights")
    register(
        "torchscript", f"{torch}:to_torchscript", help="model.ts with its metadata, as MONAI Deploy reads it"
    )
    register("pt2", f"{torch}:to_pt2", help="model.pt2, a program of torch.export for any batch")
    register("onnx", f"{onnx}:to_onnx", help="model.onnx for any batch")
    register("int8", f"{onnx}:to_int8", help="model.onnx quantised to 8 bits on calibration images")
    register("zoo", "monai_brain.inference.zoo:to_zoo", help="a bundle folder as MONAI's model zoo takes it")


@mb.hookimpl
def register_commands(cli) -> None:  # type: ignore[no-untyped-def]
    cli.add(
        "doctor", "monai_brain.cli.doctor:run", help="what works on this machine, and what does not and why"
    )
