"""The page of an activation grid."""
