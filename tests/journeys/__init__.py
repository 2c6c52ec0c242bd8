"""Whole journeys over HTTP through the product as `make run` starts it: real servers, real processes, kills."""
