"""A folder link: files that are dropped in one directory appear in another, whole, in the order of their arrival.

For pipelines whose bus is a directory. As a link stands between a client and a server, a folder link stands between the
producer's directory and the consumer's: without a tap, files pass as they are; while it is disabled they wait, as when
the bus is down; a tap damages the records of CSV files and JSON lines on their way.

Always true: a file is in the consumer's directory either not at all or whole; a SIGKILL at any moment loses none and
doubles none (`passage`); the work is done by one thread beside the loop, a batch at a time (`worker`, `carrier`), in
bounded memory however long a file is (`rewriting`); and that thread shares nothing with the loop but frozen messages.

Rejected: inotify. It would save the wait for a file to settle where producers rename their files in, but not polling:
its queue overflows, and network file systems don't tell. Such producers say `settle_ms` 0.
"""
