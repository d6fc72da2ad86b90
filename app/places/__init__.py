"""Countries, borders and border crossing points."""
