"""Why a ScaledObject cannot be followed."""

from essaim.errors import EssaimError


class ScaledObjectError(EssaimError):
    """The ScaledObject is not valid, or asks for what one machine cannot do."""
