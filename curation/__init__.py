"""The review page: what people see of a run, what they decide, and who agrees with whom."""
