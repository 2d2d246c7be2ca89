"""Random and hostile inputs to everything public: each gives a result, or one sentence that a user can act on.

`python -m tests.fuzz --examples 10000` runs long, and prints the table of outcomes.
"""
