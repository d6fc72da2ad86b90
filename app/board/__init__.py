"""The board: the present of every crossing, resolved and in memory."""
