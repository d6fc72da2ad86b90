"""The log of status events and the rule that answers from it."""
