"""Sweeps through submitit that outlive their jobs, as a plugin of Hydra: `hydra/launcher=submitit_slurm`."""
