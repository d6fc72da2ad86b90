"""Pages that tell what was said: incidents as stories, sources with all that cites them."""
