"""mldrill: breaks an ML pipeline on purpose, and scores who noticed and who repaired it.

The public API is what docs/ names; everything is importable from its room (`harness.spec`, `harness.history`, ...).
"""

__version__ = "0.1.0"
