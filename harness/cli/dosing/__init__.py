"""What `drill dose` does: rows are damaged at rising doses and go through the target's monitors, offline."""
