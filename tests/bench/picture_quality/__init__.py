"""The measures behind tests/bench/pictures.py: how good rendered pictures are, judged by networks that took no part."""
