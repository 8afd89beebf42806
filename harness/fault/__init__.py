"""The built-in faults: one file per family. Each object satisfies `harness.plugin.Fault` and holds no state.

A fault sets points of a target and knows nothing of how a driver does that. What all have in common stands here as plain
functions, not as a base class: making undos, setting points, and questions of names.
"""
