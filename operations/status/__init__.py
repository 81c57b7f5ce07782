"""How every backup stands: what is late, what is unusual, and what to do about it."""
