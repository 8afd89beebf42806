"""A pipeline as child processes of one detached supervisor, over loopback.

Who is who: `driver` and `instance` live in the harness; `supervisor` is a process of its own that outlives it;
`zygote` is the supervisor's child that has imported the libraries and forks one process per service. If the
supervisor dies, so do zygote, services and proxy.
"""
