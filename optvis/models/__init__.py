"""Other people's networks: how they are fed, named layers, hooks, gradient overrides."""
