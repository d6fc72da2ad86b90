"""API keys: who may write what, and for which sides."""
