"""Experiments: lists of trainings, what they give together, and how they are shared among machines."""
