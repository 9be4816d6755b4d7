"""A new plugin: an installable package around one network, with its bundle, its tests and its papers."""
