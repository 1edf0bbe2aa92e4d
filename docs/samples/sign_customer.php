<?php
// Signs a customer in to Makegood with a shared secret (HS256): `php sign_customer.php c-1007` prints the token. Needs nothing else.

declare(strict_types=1);

function base64url(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

/** For whoever is signed in at your shop now. $customer is what their orders carry as `buyer.customer_ref`. */
function token_for(string $customer): string
{
    $now = time();
    $claims = [
        'iss' => getenv('PROOF_ISSUER'),
        'aud' => getenv('PROOF_AUDIENCE'),
        'sub' => $customer,
        'iat' => $now,
        // Made when the page is, used at once; Makegood takes none whose `iat` is older than ten minutes.
        'exp' => $now + 300,
    ];
    $parts = array_map(
        static fn (array $one): string => base64url(json_encode($one, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES)),
        [['alg' => 'HS256', 'typ' => 'JWT'], $claims],
    );
    $signed = implode('.', $parts);

    return $signed . '.' . base64url(hash_hmac('sha256', $signed, (string) getenv('PROOF_SECRET'), true));
}

echo token_for($argv[1]), PHP_EOL;
