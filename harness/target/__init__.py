"""Drivers of targets: what sets points, carries actions out and reads a running pipeline.

Rooms: `calls`, `interpolate`, `readings`, `operations` and `snapshots` work for every driver; `embedded` runs a
pipeline as child processes under a supervisor. This package imports nothing by itself, so that the supervisor's
processes start fast.
"""
