"""Records of the log, made from events: a module for each kind of event."""
