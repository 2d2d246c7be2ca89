"""The sixteen classes of the embedded world."""

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
