"""What happens to a value: one file per type. Registered in `harness.corrupt.registry`."""
