"""Whether the storm of tests/chaos/storm notices what is broken; takes minutes, and is run where a storm is."""
