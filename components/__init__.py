"""Everything that computes; knows nothing of Prefect and never imports DVC."""
