"""Sources with the facts that cite them."""
