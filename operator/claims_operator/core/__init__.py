"""What is decided: pure functions of recorded facts, without clock, network or log."""
