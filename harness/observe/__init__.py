"""What is seen: the prober (ground truth, outside the pipeline), the pager sink, record readings, scrape, load.

Each observer hands events to one `put`; none of them decides anything.
"""
