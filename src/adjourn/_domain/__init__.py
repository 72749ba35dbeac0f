"""Pure rules, and the plain data that they are about. No I/O, no driver, no event loop."""
