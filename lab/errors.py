"""The one exception the lab raises for what its user can act on."""


class LabError(Exception):
    """Something in the lab is not as asked; the text says what, where and what next."""
