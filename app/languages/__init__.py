"""The languages of texts, and how facts are put into words."""
