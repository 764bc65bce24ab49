"""The model zoo: what recipes reach and what their nets cost. Only `measuring` needs torch."""
