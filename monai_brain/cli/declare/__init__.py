"""What each command takes, a file for each family of commands."""
