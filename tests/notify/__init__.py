"""Notifications, against local servers that speak what the real ones speak."""
