"""Tables in, estimates out: designs, mixed models, comparisons, permutation; no brains here."""
