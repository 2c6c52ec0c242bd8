"""What takes minutes and is run when it is asked for: a storm on trial, the benches that need thousands of jobs."""
