"""What toxics are made of: declarations, and stages that do what all of a kind have in common.

It is a package so that the files beside it are toxics and nothing else: whoever looks for toxics takes each of them.
"""
