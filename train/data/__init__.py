"""From data sets to prepared examples, in an order that is fixed before training."""
