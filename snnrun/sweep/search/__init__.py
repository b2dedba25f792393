"""A search by Optuna: the study, the judge of a running job, and the summary at the end."""
