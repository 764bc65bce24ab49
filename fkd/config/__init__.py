"""From config to objects: what builds all that a `_target_` names."""
