"""What is computed from predictions.csv alone: metrics, intervals, calibration, tests of difference."""
