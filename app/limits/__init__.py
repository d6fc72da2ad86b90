"""Rate limits: how often a client or a key may ask, counted here or in a store that is shared."""
