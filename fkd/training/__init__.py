"""Training: the LightningModule, the objective, callbacks, and the run folder."""
