"""HTTP over collections."""
