"""Hydra plugin for searches with Optuna: `hydra/sweeper=tpe`."""
