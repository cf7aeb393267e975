"""How good the results are: the judge, metrics and benches."""
