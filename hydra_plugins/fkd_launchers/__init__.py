"""Sweeps whose jobs have processes of their own, as a plugin of Hydra: `hydra/launcher=joblib` and submitit's."""
