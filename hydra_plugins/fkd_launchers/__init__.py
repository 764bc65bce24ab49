"""Hydra plugin for jobs in processes of their own: `hydra/launcher=joblib`, `submitit_local`, `submitit_slurm`."""
