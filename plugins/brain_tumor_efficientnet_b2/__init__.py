"""EfficientNet-B2 for brain tumours: transfer learning, frozen first blocks, Grad-CAM."""
