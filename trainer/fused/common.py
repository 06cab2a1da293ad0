"""What the parts of an array share."""

MULTIPLE = 16
"""The numbers in the widest vector: what is a multiple of it, is one of every machine's."""


class CannotFuse(Exception):
    """These modules cannot become an array; says which layer, and why."""
