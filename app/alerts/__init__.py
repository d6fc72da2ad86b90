"""Alerts: people are told of changes by Web Push or by e-mail, without an account.

They are apart from webhooks. One change may concern thousands of browsers at once, so alerts are
sent in batches; and there is nothing to keep of a message that was delivered.
"""
