"""The bundle of dipstick, as data."""
