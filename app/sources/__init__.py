"""Sources of facts, and the citations that refer to them."""
