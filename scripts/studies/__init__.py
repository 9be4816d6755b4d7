"""What scripts/evidence.py runs and how its figures are written down."""
