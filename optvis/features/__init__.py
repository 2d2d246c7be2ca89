"""Parts of a layer that have names: channels, directions, groups of neurons, receptive fields."""

from optvis.features.groups import Groups, group
from optvis.features.receptive_field import Box, ReceptiveFields, crop, receptive_fields
from optvis.features.units import Channels, Directions, Units

__all__ = ["Box", "Channels", "Directions", "Groups", "ReceptiveFields", "Units", "crop", "group", "receptive_fields"]
