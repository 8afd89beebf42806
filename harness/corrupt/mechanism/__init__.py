"""To whom it may happen: one file per mechanism. Registered in `harness.corrupt.registry`."""
