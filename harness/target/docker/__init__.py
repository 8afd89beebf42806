"""The docker driver: any Compose project, found by its labels, or one that it brings up itself.

    daemon      one client of the Docker API; every refusal in words
    record      what is remembered of an instance on disk
    selection   which containers are the instance's, and which of them may be touched
    compose     bringing a Compose file up, taking it down, waiting until it is ready
    points      what can be set: process, limits, disk, networks, image and environment, each in a file of its own
    deaths      containers that ended, and why
    looks       what a container looks like from outside, and what a neighbour gets from a link
    operator    built-in actions and observations
    described   an instance for `drill status`; examined what `drill doctor` says of the engine and of what is left on it
    instance    the Target; driver the Driver

Through docker-py, never the command line, which is four times slower: but for `compose up`, which nothing else can do.
Loaded at the first call, not at import. Always true: a container is touched only if it carries this instance's label, or
if target.yaml allows it by project and service; nothing that belongs to no container of ours is changed on the host.
"""
