"""A run: the conductor (a pure machine), its drivers (live, simulated, replay), the ledger, the reaper."""
