"""Tools for waiting (locks, time limits, threads), in two modules with the same names: one for each colour.

The hand-written async code imports ``from adjourn._runtime import aio as runtime``. Its generated twin imports
``threads`` instead, where the same names have the same meaning.
"""
