"""The append-only event log: what is left of it may touch the world, what is right of it may not."""
