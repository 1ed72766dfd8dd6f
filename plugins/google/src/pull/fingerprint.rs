//! What is too long to be kept, reduced to what is needed to see that it changed.

use serde_json::Value;

/// A number that is another one for another text, as good as always: FNV-1a, 64 bits, which stays
/// the same over versions of this library, as what is kept in the state must.
pub fn fingerprint(value: &Value) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in value.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// The first characters of a text, `bytes_max` at most.
pub fn clamped(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fingerprint_stays_what_it_is() {
        // Of the one byte "1".
        assert_eq!(fingerprint(&json!(1)), 0xaf63_ac4c_8601_9afc);
        assert_ne!(fingerprint(&json!(["a"])), fingerprint(&json!(["b"])));
    }

    #[test]
    fn a_text_is_not_cut_inside_a_character() {
        assert_eq!(clamped("aé", 2), "a");
        assert_eq!(clamped("aé", 3), "aé");
        assert_eq!(clamped("", 3), "");
    }
}
