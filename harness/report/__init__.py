"""Views of a run: while it runs on the terminal, afterwards as a page, a summary, a JUnit file and JSON.

Right of the history: no clock, no network, no chance, no plugin. What is shown was recorded or scored, never measured here.
"""
