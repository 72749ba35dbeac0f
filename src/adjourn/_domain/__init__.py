"""Pure rules, and the plain data that they are about. No clock, no driver, no event loop."""
