"""Folds over samples: onset k-of-m, hold, stop rule, integral, age, debt. Pure, and the only place where such a
decision is made: the conductor decides by them while it runs, the scorer by the same ones afterwards.
"""
