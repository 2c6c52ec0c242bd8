"""Tests of the dashboard's door, without a browser."""
