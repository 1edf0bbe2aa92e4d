"""Signs a customer in to Makegood with a shared secret (HS256): `python sign_customer.py c-1007` prints the token. Needs `pyjwt`."""

import os
import sys
import time

import jwt


def token_for(customer: str) -> str:
    """For whoever is signed in at your shop now. `customer` is what their orders carry as `buyer.customer_ref`."""
    now = int(time.time())
    claims = {
        "iss": os.environ["PROOF_ISSUER"],
        "aud": os.environ["PROOF_AUDIENCE"],
        "sub": customer,
        "iat": now,
        # Made when the page is, used at once; Makegood takes none whose `iat` is older than ten minutes.
        "exp": now + 300,
        # A pay-out to another account asks for more: `auth_time`, when they last signed in, and `amr` with a second factor ("otp").
    }
    return jwt.encode(claims, os.environ["PROOF_SECRET"], algorithm="HS256")


if __name__ == "__main__":
    print(token_for(sys.argv[1]))
