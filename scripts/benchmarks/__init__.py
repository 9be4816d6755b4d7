"""What this project promises to be fast at, each timed beside what a reader would use instead."""
