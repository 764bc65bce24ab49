"""The model zoo: scores of recipes and costs of their nets. Only `measuring` needs torch."""
