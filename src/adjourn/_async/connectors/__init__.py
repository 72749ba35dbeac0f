"""One connector a driver, and the contract that they keep."""
