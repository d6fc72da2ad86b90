"""Pages about incidents, as stories, and about sources, with all that cites them."""
