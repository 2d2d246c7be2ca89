"""Parts of a layer that have names: channels, directions, groups of neurons, receptive fields; and its statistics."""

from optvis.arguments import check_package
from optvis.features.autoencoder_units import Features
from optvis.features.feature_network import expose_features
from optvis.features.groups import Groups, group
from optvis.features.heads import Heads, attention_map
from optvis.features.peaks import ChannelImages
from optvis.features.projection import Projection
from optvis.features.receptive_field import Box, ReceptiveFields, crop, receptive_fields
from optvis.features.statistics import ActivationStatistics, measure_statistics
from optvis.features.units import Channels, Directions, Units

__all__ = [
    "ActivationStatistics",
    "Box",
    "ChannelImages",
    "Channels",
    "Directions",
    "Features",
    "Groups",
    "Heads",
    "Projection",
    "ReceptiveFields",
    "Units",
    "attention_map",
    "crop",
    "expose_features",
    "group",
    "measure_statistics",
    "receptive_fields",
]

check_package(__name__)
