"""MONAI Label serves every registered model: classes, maps, what to label next, and training."""
