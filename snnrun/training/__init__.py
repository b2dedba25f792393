"""Training: the state, the loop over it, its measurements, its random streams and the requests to stop."""
