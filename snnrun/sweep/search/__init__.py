"""A search by Optuna: the study, the judge of a running job, and what is shown at the end."""
