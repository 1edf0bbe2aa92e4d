"""Recorded conversations with a peer; each folder's README says with which, when and how."""
