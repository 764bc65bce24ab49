"""Sweeps whose jobs are chosen by Optuna, as a plugin of Hydra: `hydra/sweeper=tpe`."""
