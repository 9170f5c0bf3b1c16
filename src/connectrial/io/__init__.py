"""Files in, nouns out, and back: the only drawer that reads or writes data."""
