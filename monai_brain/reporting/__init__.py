"""One self-contained page for a run: figures, curves, cases, manifest."""
