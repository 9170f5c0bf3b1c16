"""From the signal of parcels to functional connectivity: arrays in, arrays out."""
