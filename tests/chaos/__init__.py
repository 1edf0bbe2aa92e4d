"""`make chaos`: refunds of all kinds on real processes while everything fails, counted from the processors' side."""
