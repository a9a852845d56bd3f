//! A token that was signed with OpenSSL, and the public half of the key: nothing here depends on
//! the code that checks it. Issuer `https://issuer.example`, subject `ada`, `exp` 2000000000.

#![allow(unreachable_pub, reason = "a part of one test file")]

/// Modulus of the key, base64url; the exponent is AQAB.
pub const RSA_MODULUS: &str = concat!(
    "37lpxNfD9ObtjAs6_-jyUzd8WlufTAdAgxfYIj4_UiXAx2_0rHOYpkX0N-6IiksIiRbxtwLCLKeUaijQ4UcU",
    "HRg-3kRrSrNrHs7KLU4zgb6iZRDCuncMs2FH-w8IfTMeO3E1pGx5y56ro5B46zno51_0rDQ1q9PPwHc4VdXf",
    "d7DBv-zYDtcz9N5M9nUKP5GLN8Az0Rv4edLDNM0Ng6IlWKQKKpmoODWnqkREUiavIPsLqbVWPh70yNwMIpy9",
    "Zf6LQSt7dLl9Um6Qsv9lWn2mB9rryvotPn3_K9YoYqXgD7V4KgEQ8ci0XwYgL1vDVB4QUKAM8tAaJo-WoJGz",
    "N9vM2Q",
);

/// Signed with RS256, key id `rsa-1`.
pub const RS256_TOKEN: &str = concat!(
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2lzc3Vl",
    "ci5leGFtcGxlIiwic3ViIjoiYWRhIiwiZXhwIjoyMDAwMDAwMDAwfQ.NTtIVQeH39lEqQUUYxcoNB-FW1495",
    "1vjXjvZ2g3-4K1pNiiKEpEDXfh8RWX25UVdw36tGx4SVBKZ4JsFWqc8NhOOShdRviJ5UQjlOLqnZGMyZ13CD",
    "uMtXdYkHVpoh_qH6rv7g8IPUS7yqZjFVTpWuBEr5pVDOiy_M46ZFSDANsEy8Vg8TtXHN-J0aJTjNNjQCrcqy",
    "kwDDZmcUX9YBdTdM222IypTcod_OuaqwAFjGMths68iWPsoHX1bqPXvOcoIc1m42nNRFOjssIP0jbAUeOV_T",
    "XyD0gJ-_4beRr8EzzYF_yCs97oRqDPMyOr6s1LHOjPrmvwHDNZg7hnHCtbsHg",
);
