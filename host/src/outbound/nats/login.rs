//! As whom: a token, a user with a password, a key (nkey) or a user's token with its key (creds).
//! <https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro>

use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// As whom. Nothing of it is ever shown.
#[derive(Clone, Debug, Default)]
pub enum NatsLogin {
    /// As nobody.
    #[default]
    None,
    Token(Secret<String>),
    Password {
        user: String,
        password: Secret<String>,
    },
    Nkey(Seed),
    /// What a `.creds` file holds.
    Creds {
        jwt: Secret<String>,
        seed: Seed,
    },
}

/// What is wrong with a login; never what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NatsLoginError {
    #[error("a user's seed as `nk -gen user` prints it: `SU` and 56 more letters and digits")]
    Seed,
    #[error("the text of a `.creds` file, with a user's JWT and the seed of its nkey")]
    Creds,
}

impl NatsLogin {
    /// The seed of a user's nkey.
    pub fn nkey(seed: &str) -> Result<NatsLogin, NatsLoginError> {
        Seed::parse(seed.trim()).map(NatsLogin::Nkey)
    }

    /// The text of a `.creds` file.
    pub fn creds(text: &str) -> Result<NatsLogin, NatsLoginError> {
        let jwt = part_of(text, "NATS USER JWT").ok_or(NatsLoginError::Creds)?;
        let seed = part_of(text, "USER NKEY SEED").ok_or(NatsLoginError::Creds)?;
        Ok(NatsLogin::Creds {
            jwt: Secret::new(jwt.to_owned()),
            seed: Seed::parse(seed).map_err(|_| NatsLoginError::Creds)?,
        })
    }

    /// Its fields in the line that a client introduces itself with.
    pub(super) fn fields(&self, nonce: &str) -> Map<String, Value> {
        let signed = |seed: &Seed| URL_SAFE_NO_PAD.encode(seed.pair().sign(nonce.as_bytes()));
        let fields = match self {
            NatsLogin::None => vec![],
            NatsLogin::Token(token) => vec![("auth_token", token.expose().clone())],
            NatsLogin::Password { user, password } => {
                vec![("user", user.clone()), ("pass", password.expose().clone())]
            }
            NatsLogin::Nkey(seed) => vec![("nkey", seed.public()), ("sig", signed(seed))],
            NatsLogin::Creds { jwt, seed } => {
                vec![("jwt", jwt.expose().clone()), ("sig", signed(seed))]
            }
        };
        let named = |(name, value): (&str, String)| (name.to_owned(), Value::String(value));
        fields.into_iter().map(named).collect()
    }

    /// What tells two logins apart, without being either.
    fn digest(&self) -> [u8; 32] {
        let parts: Vec<&[u8]> = match self {
            NatsLogin::None => vec![b"none"],
            NatsLogin::Token(token) => vec![b"token", token.expose().as_bytes()],
            NatsLogin::Password { user, password } => {
                vec![b"password", user.as_bytes(), password.expose().as_bytes()]
            }
            NatsLogin::Nkey(seed) => vec![b"nkey", seed.0.expose()],
            NatsLogin::Creds { jwt, seed } => {
                vec![b"creds", jwt.expose().as_bytes(), seed.0.expose()]
            }
        };
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl PartialEq for NatsLogin {
    fn eq(&self, other: &NatsLogin) -> bool {
        self.digest() == other.digest()
    }
}

impl Eq for NatsLogin {}

impl Hash for NatsLogin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
    }
}

/// The line after the one that begins this part.
fn part_of<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with("---") && line.contains(&format!("BEGIN {name}")))?;
    lines.find(|line| !line.is_empty() && !line.starts_with("---"))
}

/// The private half of a user's nkey, 32 bytes.
#[derive(Clone, Debug)]
pub struct Seed(Secret<Vec<u8>>);

/// What the first bits of encoded keys say (nkeys, `strkey.go`).
const IS_SEED: u8 = 18 << 3;
const IS_USER: u8 = 20 << 3;

impl Seed {
    fn parse(text: &str) -> Result<Seed, NatsLoginError> {
        let raw = base32_decode(text).ok_or(NatsLoginError::Seed)?;
        let [first, second, key @ .., low, high] = raw.as_slice() else {
            return Err(NatsLoginError::Seed);
        };
        let kind = (first & 0x07) << 5 | (second & 0xf8) >> 3;
        let sum = u16::from_le_bytes([*low, *high]);
        let is_good = first & 0xf8 == IS_SEED
            && kind == IS_USER
            && key.len() == 32
            && sum == crc16(&raw[..raw.len() - 2]);
        match is_good {
            true => Ok(Seed(Secret::new(key.to_vec()))),
            false => Err(NatsLoginError::Seed),
        }
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(self.0.expose())
            .expect("invariant: a seed is 32 bytes, and any 32 bytes are one")
    }

    /// `U` and the public half, as the server's configuration names this user.
    fn public(&self) -> String {
        let pair = self.pair();
        let mut raw = vec![IS_USER];
        raw.extend_from_slice(pair.public_key().as_ref());
        raw.extend_from_slice(&crc16(&raw).to_le_bytes());
        base32_encode(&raw)
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// RFC 4648 without padding; bits that are left over must be none.
fn base32_decode(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut bits) = (Vec::with_capacity(text.len() * 5 / 8), 0u32, 0);
    for letter in text.bytes() {
        let value = BASE32.iter().position(|known| *known == letter)?;
        held = held << 5 | value as u32;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    (held == 0).then_some(bytes)
}

fn base32_encode(bytes: &[u8]) -> String {
    let (mut text, mut held, mut bits) = (String::new(), 0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(BASE32[(held >> bits) as usize & 31]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(BASE32[(held << (5 - bits)) as usize & 31]));
    }
    text
}

/// CRC-16 as of XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| match sum & 0x8000 {
            0 => sum << 1,
            _ => sum << 1 ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed that these 32 bytes are.
    fn seed_of(key: &[u8; 32]) -> String {
        let mut raw = vec![IS_SEED | IS_USER >> 5, IS_USER << 3];
        raw.extend_from_slice(key);
        raw.extend_from_slice(&crc16(&raw).to_le_bytes());
        base32_encode(&raw)
    }

    #[test]
    fn checksums_are_those_of_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn base32_is_that_of_rfc_4648_without_padding() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "MY"),
            (b"fo", "MZXQ"),
            (b"foo", "MZXW6"),
            (b"foob", "MZXW6YQ"),
            (b"fooba", "MZXW6YTB"),
            (b"foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32_encode(bytes), text);
            assert_eq!(base32_decode(text).as_deref(), Some(bytes));
        }
        for text in ["MZ", "m", "MY=", "M1"] {
            assert_eq!(base32_decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_seed_is_a_users_whole_and_right() {
        let seed = seed_of(&[7; 32]);
        assert!(seed.starts_with("SU") && seed.len() == 58, "{seed}");
        let parsed = Seed::parse(&seed).expect("a seed");
        assert_eq!(parsed.0.expose().as_slice(), [7; 32]);
        assert!(parsed.public().starts_with('U'));
        let wrong = seed.replace(&seed[20..22], "QQ");
        let account = seed.replacen("SU", "SA", 1);
        for text in [
            "",
            "SU",
            &seed[..57],
            &wrong,
            &account,
            &seed.to_lowercase(),
        ] {
            assert_eq!(NatsLogin::nkey(text).err(), Some(NatsLoginError::Seed));
        }
    }

    #[test]
    fn a_creds_file_is_read_and_nothing_of_it_shown() {
        let seed = seed_of(&[9; 32]);
        let text = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.hunter2.x\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let login = NatsLogin::creds(&text).expect("creds");
        let fields = login.fields("nonce");
        assert_eq!(fields["jwt"], "eyJ0.hunter2.x");
        assert!(fields.contains_key("sig") && !fields.contains_key("nkey"));
        let shown = format!("{login:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains(&seed),
            "{shown}"
        );
        for bad in ["", "hunter2", &text.replace(&seed, "SUhunter2")] {
            let error = NatsLogin::creds(bad).expect_err("no creds");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn logins_are_told_apart_by_all_they_hold() {
        let password = |user: &str, password: &str| NatsLogin::Password {
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
        };
        assert_eq!(password("a", "b"), password("a", "b"));
        assert_ne!(password("a", "bc"), password("ab", "c"));
        let token = NatsLogin::Token(Secret::new("a".to_owned()));
        assert_ne!(token, NatsLogin::None);
        assert_ne!(token, NatsLogin::Token(Secret::new("b".to_owned())));
    }
}
