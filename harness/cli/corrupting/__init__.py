"""`drill corrupt`: files in, damaged files and the truth about them out, in constant memory."""
