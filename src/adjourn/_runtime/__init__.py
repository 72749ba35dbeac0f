"""What waiting is made of, in two colours with the same names.

A room that is written once in async says ``from adjourn._runtime import aio as runtime``; its generated twin says
``threads`` instead, and finds there the same names with the same meaning.
"""
