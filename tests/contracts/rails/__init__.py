"""What every rail promises: the sandbox, and Stripe against a peer, recorded answers and a server of faults."""
