"""The languages that texts are told in, and how facts are put into words."""
