"""What waits for the database, in one colour: the contract with drivers, the drivers, and the managers above them.

The other colour is a twin of this, file for file. `adjourn.manager` and `adjourn.connectors` put the two together.
"""
