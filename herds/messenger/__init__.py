"""Brings messages to people: mail, chat, webhooks; no models, no Django."""
