"""The page of an activation atlas."""
