"""How often rollouts end wrongly: the shipped code, and other tools' rules, on simulated traffic."""
