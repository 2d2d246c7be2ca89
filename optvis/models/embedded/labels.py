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


def resolve_labels(trained: bool, num_classes: int) -> tuple[str, ...]:
    """The labels of an embedded network; none for another number of classes.

    Raises:
        ValueError: the trained network has no such number of classes.
    """
    if trained and num_classes != len(LABELS):
        raise ValueError(f"num_classes is {num_classes}; the trained network has {len(LABELS)}: give trained=False")
    return LABELS if num_classes == len(LABELS) else ()
