"""Who answers the page: none, restart-all, playbook. Pure machines, stepped by the conductor.

All act through the same actions and observations and leave the same events, so that a score compares like with like.
"""
