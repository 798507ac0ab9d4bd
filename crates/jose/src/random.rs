//! Random values from the operating system by way of AWS-LC.

use crate::digest::base64url;

/// `N` random bytes.
///
/// # Panics
/// When the machine has no source of randomness: nothing secret can be made then, so nothing must go on.
#[expect(clippy::panic, reason = "continuing without randomness would hand out guessable secrets")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let Ok(()) = aws_lc_rs::rand::fill(&mut bytes) else {
        panic!("the operating system gives no random bytes");
    };
    bytes
}

/// An unguessable value of 256 bits in 43 URL-safe characters, for `state`, `nonce`, `jti`, cookies and the like.
pub fn token() -> String {
    base64url(&bytes::<32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_43_characters_and_differ() {
        let (one, two) = (token(), token());
        assert_eq!(one.len(), 43);
        assert_ne!(one, two);
    }
}
