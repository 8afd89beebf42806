"""Drivers of targets: what sets points, carries actions out and reads a running pipeline.

Rooms: what stands here works for every driver (docs/writing-a-target.md); `embedded` runs a pipeline as child processes
under a supervisor, `docker` a Compose project. This package imports nothing by itself, so that the supervisor's
processes start fast.
"""
