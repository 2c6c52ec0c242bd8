"""Jobs: their states, their life, and everything one can ask about them."""
