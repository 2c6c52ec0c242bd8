"""Notifications: recorded first, delivered second, by mail, chat and signed webhooks; nothing here fails a job."""
