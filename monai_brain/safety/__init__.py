"""What strangers bring: bundles read without being run, trust, fetched weights, installed bundles."""
