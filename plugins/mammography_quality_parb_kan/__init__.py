"""Improved ResNet34 for the completeness of mammograms: parallel attention and a KAN head."""
