"""What people write, and the record type of the plan made from it."""
