"""What every endpoint shares: shapes, problems, pages, safe writes, documentation."""
