"""Other programs that serve the registered models: MONAI Label, MONAI Deploy."""
