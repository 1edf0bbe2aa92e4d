"""What every real adapter and its stand-in promise alike."""
