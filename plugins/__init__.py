"""Installed classifiers. Each folder is one plugin: a hook, a network, a README."""
