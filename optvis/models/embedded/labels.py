"""The sixteen classes of the embedded world."""

#: The sixteen classes, in the order of the outputs of the embedded network.
LABELS = (
    "container ship",
    "ocean liner",
    "sailing boat",
    "lighthouse",
    "kelpie",
    "German shepherd",
    "sheep",
    "owl",
    "frying pan",
    "wok",
    "dumbbell",
    "traffic light",
    "scuba diver",
    "snorkeler",
    "grey whale",
    "white shark",
)
