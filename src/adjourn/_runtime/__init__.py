"""What waiting needs (locks, time limits, threads), in two modules with the same names: one for each colour.

Code that is written once, in async, imports ``from adjourn._runtime import aio as runtime``. Its generated twin imports
``threads`` instead, where the same names have the same meaning.
"""
