"""The code that waits for the database, in one colour: the contract with drivers, the drivers, and the managers.

The other colour has the same files. `adjourn.manager` and `adjourn.connectors` combine the two.
"""
