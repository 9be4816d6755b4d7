"""A model at work: checked weights, predictions, maps of where the evidence lies, exports."""
