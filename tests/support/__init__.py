"""What several tests share: small trainings, made-up folders, data sets in their formats, and the command."""
