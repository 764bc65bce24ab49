"""What fkd costs: both sides of every ratio in one run on one machine."""
