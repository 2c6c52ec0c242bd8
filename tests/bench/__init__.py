"""Benchmarks: run by hand or by .ci/run, printed as figures and ratios; never a timed test."""
