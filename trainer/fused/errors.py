"""What an array says of modules that it cannot take."""


class CannotFuse(Exception):
    """These modules cannot become an array; says which layer, and why."""
