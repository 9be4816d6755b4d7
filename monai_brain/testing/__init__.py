"""The conformance kit: what every model must meet, for its author's tests and for `monai-brain check`."""
