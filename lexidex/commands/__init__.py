"""The commands of `lexidex`, one file each. Heavy imports stand inside the functions."""
