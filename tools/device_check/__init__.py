"""The first hour on a new card: fourteen checks, see scripts/check_device.py."""
